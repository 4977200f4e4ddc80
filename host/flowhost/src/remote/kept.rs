//! What was fetched, by its digest. A file whose bytes are not those of its name is as good as none.

use std::path::{Path, PathBuf};

use super::{COMPONENT_BYTES_MAX, Fetched, RemoteError, digest as digest_of};
use crate::ambient::{Ambient, FileError};
use crate::plugin::trust::signature_file;

/// Where the component with this digest is kept.
pub(super) fn path(folder: &Path, digest: &str) -> PathBuf {
    folder.join(format!("{}.wasm", digest.trim_start_matches("sha256:")))
}

/// The component with this digest, if it is kept and is still the one.
pub(super) fn read(ambient: &Ambient, folder: &Path, digest: &str) -> Option<Vec<u8>> {
    let path = path(folder, digest);
    // What cannot be read is fetched again, and that tells what is wrong.
    let bytes = ambient.read(&path, COMPONENT_BYTES_MAX as u64).ok()?;
    if digest_of(&bytes) == digest {
        return Some(bytes);
    }
    tracing::warn!(file = %path.display(), "a kept component is not the one of its name, and is fetched again");
    None
}

/// Keeps what was fetched. A signature that came once stays when the same component comes without one.
pub(super) fn keep(
    ambient: &Ambient,
    folder: &Path,
    fetched: &Fetched,
) -> Result<PathBuf, RemoteError> {
    let lost = |error: FileError| RemoteError::Kept(error.to_string());
    let path = path(folder, &fetched.digest);
    ambient.create_dir(folder).map_err(lost)?;
    // The signature first: whoever finds the component finds its signature too.
    if let Some(signature) = &fetched.signature {
        let beside = signature_file(&path);
        ambient.write(&beside, signature.as_bytes()).map_err(lost)?;
    }
    ambient.write(&path, &fetched.component).map_err(lost)?;
    Ok(path)
}
