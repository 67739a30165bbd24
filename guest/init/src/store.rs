//! The vectors on the disk, read into memory once and never changed.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use rvf_runtime::{QueryOptions, RvfStore};
use rvf_types::RvfError;
use serde::Serialize;

use crate::caught::caught;
use crate::wait;

const DISK_LIMIT: Duration = Duration::from_secs(2);

pub struct Store {
    rvf: RvfStore,
    file_size: u64,
    /// The library looks at the file for it, each time.
    total_vectors: u64,
}

#[derive(Serialize)]
pub struct Neighbour {
    pub id: u64,
    pub distance: f32,
}

/// Fields as in rvf-server's reply to `GET /v1/status`.
#[derive(Serialize)]
pub struct Status {
    total_vectors: u64,
    total_segments: u32,
    /// Bytes. A disk is the file rounded up to 512.
    file_size: u64,
    current_epoch: u32,
    profile_id: u8,
    dead_space_ratio: f64,
    read_only: bool,
}

impl Store {
    pub fn open(path: &Path) -> Result<Store, String> {
        let name = path.display();
        let mut file = wait::retry(DISK_LIMIT, || OpenOptions::new().read(true).open(path))
            .map_err(|error| format!("no store: {name}: {error}"))?;
        let file_size = size(&mut file).map_err(|error| format!("no store: {name}: {error}"))?;
        let rvf = caught(|| RvfStore::open_readonly(path))
            .map_err(|words| format!("the RVF cannot be read: {words}"))?
            .map_err(|error| format!("{name} holds no readable RVF: {error}"))?;
        let total_vectors = rvf.status().total_vectors;
        Ok(Store { rvf, file_size, total_vectors })
    }

    /// The `k` nearest by an exact scan, nearest first. The library would else build its index within the first
    /// request, which takes minutes for a large store.
    pub fn nearest(&self, vector: &[f32], k: usize) -> Result<Vec<Neighbour>, RvfError> {
        let options = QueryOptions { force_exact: true, ..QueryOptions::default() };
        let hits = self.rvf.query(vector, k, &options)?;
        Ok(hits.into_iter().map(|hit| Neighbour { id: hit.id, distance: hit.distance }).collect())
    }

    pub fn total_vectors(&self) -> u64 {
        self.total_vectors
    }

    pub fn dimension(&self) -> u16 {
        self.rvf.dimension()
    }

    pub fn status(&self) -> Status {
        let status = self.rvf.status();
        Status {
            total_vectors: status.total_vectors,
            total_segments: status.total_segments,
            file_size: self.file_size,
            current_epoch: status.current_epoch,
            profile_id: status.profile_id,
            dead_space_ratio: status.dead_space_ratio,
            read_only: status.read_only,
        }
    }
}

/// The library takes the size from the file's metadata, where a disk has 0.
fn size(file: &mut File) -> std::io::Result<u64> {
    file.seek(SeekFrom::End(0))
}
