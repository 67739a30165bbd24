//! What upstream's own readers and verifiers say of a file.

use crate::{Result, args::Args};
use ed25519_dalek::{SigningKey, VerifyingKey};
use rvf_crypto::{decode_signature_footer, encode_signature_footer, sign_segment, verify_segment};
use rvf_runtime::{Freshness, RvfOptions, RvfStore};
use rvf_types::security::SecurityPolicy;
use sha2::{Digest, Sha256};
use std::{fs, path::Path};

/// `extract FILE`: what `extract_kernel` and `extract_kernel_binding` hand out, as JSON.
pub fn extract(args: &Args) -> Result<bool> {
    let store = RvfStore::open_readonly(Path::new(args.at(1, "FILE")?))?;
    let Some((_header, image)) = store.extract_kernel()? else {
        println!("null");
        return Ok(true);
    };
    let binding = store.extract_kernel_binding()?.map_or(0, |binding| binding.binding_version);
    println!(
        r#"{{"length":{},"sha256":"{}","bindingVersion":{binding}}}"#,
        image.len(),
        hex(&Sha256::digest(&image))
    );
    Ok(true)
}

/// `open-strict FILE --public-key HEX`: opening checks the root page and the manifest, but the kernel against its signed
/// hash only when it is read; so it is read too.
pub fn open_strict(args: &Args) -> Result<bool> {
    let options = RvfOptions {
        trusted_signers: vec![args.key("public-key")?],
        // Strict opens want this said. There is no earlier state here that an epoch could be held against.
        freshness: Some(Freshness::Unchecked),
        ..Default::default()
    };
    let path = Path::new(args.at(1, "FILE")?);
    RvfStore::open_with_policy(path, options, SecurityPolicy::Strict)?.extract_kernel()?;
    println!("ok");
    Ok(true)
}

/// `segment-signature FILE OFFSET --public-key HEX`: does `verify_segment` accept the footer directly behind the
/// payload of the segment at OFFSET?
pub fn segment_signature(args: &Args) -> Result<bool> {
    let bytes = segment_bytes(args)?;
    let (header, payload) = rvf_wire::read_segment(&bytes)?;
    let footer = decode_signature_footer(&bytes[rvf_types::SEGMENT_HEADER_SIZE + payload.len()..])?;
    let accepted =
        verify_segment(&header, payload, &footer, &VerifyingKey::from_bytes(&args.key("public-key")?)?);
    println!("{}", if accepted { "accepted" } else { "refused" });
    Ok(accepted)
}

/// `sign-segment FILE OFFSET --secret HEX`: the footer that `sign_segment` makes for the segment at OFFSET, in hex.
pub fn sign(args: &Args) -> Result<bool> {
    let bytes = segment_bytes(args)?;
    let (header, payload) = rvf_wire::read_segment(&bytes)?;
    let footer = sign_segment(&header, payload, &SigningKey::from_bytes(&args.key("secret")?));
    println!("{}", hex(&encode_signature_footer(&footer)));
    Ok(true)
}

/// The file from the segment's header on.
fn segment_bytes(args: &Args) -> Result<Vec<u8>> {
    let mut bytes = fs::read(args.at(1, "FILE")?)?;
    let offset: usize = args.at(2, "OFFSET")?.parse()?;
    if offset > bytes.len() {
        return Err("OFFSET lies behind the file's end".into());
    }
    Ok(bytes.split_off(offset))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
