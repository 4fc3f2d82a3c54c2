//! What an artifact holds, as one hash: names, kinds, permissions and content, and no times. Two runs of one job write the same
//! files at different times.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

/// The BLAKE3 of what a tar holds, as 64 hex digits. In which order its entries stand does not count.
///
/// # Errors
/// Where it cannot be read.
pub fn content_hash(tar: &Path) -> io::Result<String> {
    let mut archive = tar::Archive::new(io::BufReader::new(File::open(tar)?));
    let mut entries = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let (kind, mode) = (entry.header().entry_type().as_byte(), entry.header().mode()?);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[kind]);
        hasher.update(&mode.to_le_bytes());
        let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
        hasher.update(&(target.len() as u64).to_le_bytes());
        hasher.update(&target);
        io::copy(&mut entry, &mut hasher)?;
        // Of two entries of one path the last counts, as it does for who unpacks it.
        entries.insert(entry.path_bytes().into_owned(), *hasher.finalize().as_bytes());
    }
    let mut all = blake3::Hasher::new();
    for (path, hash) in entries {
        all.update(&(path.len() as u64).to_le_bytes());
        all.update(&path);
        all.update(&hash);
    }
    Ok(all.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(entries: &[(&str, u32, u64, &str)]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = tar::Builder::new(file.reopen().unwrap());
        for (path, mode, mtime, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(*mode);
            header.set_mtime(*mtime);
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        builder.finish().unwrap();
        content_hash(file.path()).unwrap()
    }

    #[test]
    fn times_and_order_do_not_count_and_all_else_does() {
        let was = hash_of(&[("a", 0o644, 1, "x"), ("b", 0o644, 1, "y")]);
        assert_eq!(hash_of(&[("b", 0o644, 9, "y"), ("a", 0o644, 2, "x")]), was);
        for other in [
            hash_of(&[("a", 0o755, 1, "x"), ("b", 0o644, 1, "y")]),
            hash_of(&[("a", 0o644, 1, "xy"), ("b", 0o644, 1, "")]),
            hash_of(&[("a", 0o644, 1, "x"), ("c", 0o644, 1, "y")]),
            hash_of(&[("a", 0o644, 1, "x")]),
        ] {
            assert_ne!(other, was);
        }
    }
}
