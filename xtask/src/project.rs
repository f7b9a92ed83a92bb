//! Where the project lies. Never the current folder: verbs work from anywhere inside the checkout.

use std::path::{Path, PathBuf};

/// The folder of the workspace manifest.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}
