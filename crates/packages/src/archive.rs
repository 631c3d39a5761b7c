//! An archive of npm's, unpacked as npm unpacks it: without its first folder, files and nothing else, none outside.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt as _,
    path::{Component, Path, PathBuf},
};

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};

/// What a file may be at least: read and written by its owner, read by others, as far as the process' umask lets it.
const LEAST_MODE: u32 = 0o666;

/// What comes of one archive at most: a few bytes can unpack to a disk full of them.
const MOST: Most = Most {
    bytes: 2 << 30,
    entries: 500_000,
};

#[derive(Clone, Copy, Debug)]
struct Most {
    /// Unpacked, with the heads of entries.
    bytes: u64,
    entries: usize,
}

/// Fails once more has been read than may be.
struct Bounded<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let left = self.left.checked_sub(read as u64);
        self.left =
            left.ok_or_else(|| io::Error::other("the archive unpacks to more bytes than a package may"))?;
        Ok(read)
    }
}

/// Unpacks a `.tgz` into a folder.
pub(crate) fn unpack(bytes: &[u8], folder: &Path) -> io::Result<()> {
    unpack_within(MOST, bytes, folder)
}

fn unpack_within(most: Most, bytes: &[u8], folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut archive = Archive::new(Bounded {
        reader: GzDecoder::new(bytes),
        left: most.bytes,
    });
    let mut last_made = PathBuf::new();
    for (number, entry) in archive.entries()?.enumerate() {
        if number >= most.entries {
            return Err(io::Error::other(
                "the archive has more entries than a package may",
            ));
        }
        let mut entry = entry?;
        // Links are left out, as npm does; folders are made for their files.
        if !matches!(
            entry.header().entry_type(),
            EntryType::Regular | EntryType::Continuous
        ) {
            continue;
        }
        let Some(inside) = inside(&entry.path()?)? else {
            continue;
        };
        let path = folder.join(inside);
        if let Some(parent) = path.parent().filter(|parent| *parent != last_made) {
            fs::create_dir_all(parent)?;
            parent.clone_into(&mut last_made);
        }
        let mode = (entry.header().mode().unwrap_or(LEAST_MODE) | LEAST_MODE) & 0o777;
        // A name that comes twice, or twice but for its case, is the last one's.
        let _ = fs::remove_file(&path);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)?;
        if entry.size() <= 256 * 1024 {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            io::Write::write_all(&mut file, &content)?;
        } else {
            io::copy(&mut entry, &mut file)?;
        }
    }
    Ok(())
}

/// A path without its first part. `None` where nothing is left of it; an error where it leads out.
fn inside(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut parts = path.components().filter(|part| *part != Component::CurDir);
    if !matches!(parts.next(), Some(Component::Normal(_))) {
        return Err(io::Error::other("a path in the archive leads out of it"));
    }
    let rest: PathBuf = parts.collect();
    let leads_out = |part: Component<'_>| !matches!(part, Component::Normal(_));
    if rest.components().any(leads_out) {
        return Err(io::Error::other("a path in the archive leads out of it"));
    }
    Ok((!rest.as_os_str().is_empty()).then_some(rest))
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use flate2::{Compression, write::GzEncoder};
    use tar::Header;

    use super::*;

    /// An archive with these files: name, mode, content.
    pub(crate) fn archive(files: &[(&str, u32, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, mode, content) in files {
            let mut header = Header::new_gnu();
            // As bytes: the library itself writes no path that leads out.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn files_are_unpacked_as_npm_does() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = archive(&[
            ("package/package.json", 0o644, "{}"),
            ("package/lib/deep/a.js", 0o600, "a"),
            ("package/bin/x", 0o755, "#!"),
            ("other/b.js", 0o644, "b"),
            ("package/lib/deep/a.js", 0o644, "again"),
        ]);
        unpack(&bytes, folder.path()).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("package.json") + &read("b.js"), "{}b");
        assert_eq!(read("lib/deep/a.js"), "again");
        let mode = |name: &str| folder.path().join(name).metadata().unwrap().permissions().mode();
        assert_ne!(mode("bin/x") & 0o100, 0);
        assert_eq!(mode("lib/deep/a.js") & 0o100, 0);
    }

    #[test]
    fn no_archive_fills_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = archive(&[("p/a", 0o644, &"a".repeat(1 << 20)), ("p/b", 0o644, "b")]);
        for (bytes_at_most, entries, unpacks) in
            [(2 << 20, 2, true), (1 << 20, 2, false), (2 << 20, 1, false)]
        {
            let most = Most {
                bytes: bytes_at_most,
                entries,
            };
            let unpacked = unpack_within(most, &bytes, folder.path());
            assert_eq!(unpacked.is_ok(), unpacks, "{most:?}");
        }
    }

    #[test]
    fn nothing_is_written_outside() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["package/../../x", "../x", "/x/y", "package/a/../../x"] {
            let bytes = archive(&[(name, 0o644, "x")]);
            unpack(&bytes, &folder.path().join("in")).unwrap_err();
        }
        assert!(!folder.path().join("x").exists());
        assert!(unpack(b"no archive", &folder.path().join("in")).is_err());
        assert!(
            unpack(
                &archive(&[("package/a", 0o644, "a")])[..20],
                &folder.path().join("in")
            )
            .is_err()
        );
    }
}
