//! tmp
use std::path::Path;
/// tmp
pub async fn run(_dir: &Path, _exit: bool, _stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}
