//! Stores of dimension 4 with three vectors (ids 1 to 3), in the states that a writer can leave them in.

use crate::{Result, args::Args};
use rvf_runtime::{RvfOptions, RvfStore};
use rvf_types::{DerivationType, kernel_binding::KernelBinding};
use std::{fs, path::Path};

const X86_64: u8 = 0;
const MICRO_LINUX: u8 = 1;
const HAS_NETWORKING: u32 = 8;
const PORT: u16 = 8080;

/// Every kind embeds `--image FILE` with `--cmdline TEXT` (none if not given).
pub fn write(kind: &str, args: &Args) -> Result<()> {
    let path = Path::new(args.at(1, "OUT")?);
    let mut store = if kind == "signed" {
        RvfStore::create_signed(path, options(), &args.key("secret")?)?
    } else {
        RvfStore::create(path, options())?
    };
    let vectors = [[1., 0., 0., 1.], [2., 0., 0., 1.], [3., 0., 0., 1.]];
    store.ingest_batch(&vectors.each_ref().map(|vector| vector.as_slice()), &[1, 2, 3], None)?;

    if kind == "binding" {
        embed_with_binding(&mut store, args)?;
    } else {
        embed(&mut store, args, "image")?;
    }
    match kind {
        "plain" | "binding" | "signed" => {}
        "re-embedded" => embed(&mut store, args, "newer-image")?,
        "deleted" => {
            store.delete(&[2])?;
        }
        "compacted" => {
            store.delete(&[2])?;
            store.compact()?;
        }
        "derived" => store.derive(child(args)?, DerivationType::Clone, None)?.close()?,
        "branched" => store.branch(child(args)?)?.close()?,
        _ => return Err(format!("there is no kind {kind}").into()),
    }
    Ok(store.close()?)
}

fn options() -> RvfOptions {
    RvfOptions { dimension: 4, ..Default::default() }
}

fn child(args: &Args) -> Result<&Path> {
    Ok(Path::new(args.at(2, "CHILD")?))
}

fn embed(store: &mut RvfStore, args: &Args, image: &str) -> Result<()> {
    let image = fs::read(args.required(image)?)?;
    store.embed_kernel(X86_64, MICRO_LINUX, HAS_NETWORKING, &image, PORT, args.option("cmdline"))?;
    Ok(())
}

/// `--allowed-segment-mask N` (default: 0, any) and `--padding N` (default: 0, the only right one) go into the binding.
fn embed_with_binding(store: &mut RvfStore, args: &Args) -> Result<()> {
    let image = fs::read(args.required("image")?)?;
    let binding = KernelBinding {
        manifest_root_hash: [0x11; 32],
        policy_hash: [0x22; 32],
        binding_version: 1,
        min_runtime_version: 0,
        _pad0: u32::try_from(args.number("padding")?.unwrap_or(0))?,
        allowed_segment_mask: args.number("allowed-segment-mask")?.unwrap_or(0),
        _reserved: [0; 48],
    };
    let cmdline = args.option("cmdline");
    store.embed_kernel_with_binding(X86_64, MICRO_LINUX, HAS_NETWORKING, &image, PORT, cmdline, &binding)?;
    Ok(())
}
