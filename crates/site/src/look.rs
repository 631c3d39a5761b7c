//! What a path leads to in a folder. Nothing outside of it, whatever the path is written as and wherever links lead; no file and no
//! folder whose name begins with a dot, but for `.well-known`, which the web has given away; and nothing that is no file.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

use access::RequestPath;
use files::{TELLING, content_type, is_text};
use http::{HeaderMap, header::ACCEPT_ENCODING};
use rustix::{fs::OFlags, io::Errno};

/// A file that was compressed so long before it was written is one of an earlier build.
const STALE: Duration = Duration::from_secs(60);
/// What the web keeps for itself (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// What a path leads to.
pub(crate) enum PathTarget {
    File(OpenFile),
    /// A folder with a document, asked for as if it were a file.
    Folder,
    Nothing,
}

/// A file that is open.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    /// Its own name, without the ending of its coding.
    pub(crate) name: String,
    /// Its type, as a header has it.
    pub(crate) kind: String,
    pub(crate) length: u64,
    pub(crate) modified: SystemTime,
    /// It changes whenever the file is written, even if that leaves time and length as they were.
    pub(crate) etag: String,
    pub(crate) coding: Option<Coding>,
    /// Whether there are others of it, for clients that take them.
    pub(crate) has_codings: bool,
}

/// How a file was compressed beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    /// From the one that makes files smallest.
    const ALL: [Self; 2] = [Self::Brotli, Self::Gzip];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }

    /// Those that a client takes, beginning with what it wants most; of those that it wants alike, with the smallest.
    pub(crate) fn accepted(sent: &HeaderMap) -> Vec<Self> {
        let lines = sent.get_all(ACCEPT_ENCODING).iter();
        let listed: Vec<_> = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .map(|item| {
                let (name, quality) = item.split_once(';').unwrap_or((item, ""));
                let quality = quality
                    .trim()
                    .strip_prefix("q=")
                    .map_or(Some(1.0), |text| text.parse::<f32>().ok());
                (name.trim().to_ascii_lowercase(), quality.unwrap_or_default())
            })
            .collect();
        let weight = |coding: &Self| {
            let of = |name: &str| {
                let found = listed.iter().find(|(listed, _)| listed == name);
                found.map(|(_, quality)| *quality)
            };
            of(coding.name()).or_else(|| of("*")).unwrap_or_default()
        };
        let mut taken = Self::ALL.to_vec();
        taken.retain(|coding| weight(coding) > 0.0);
        taken.sort_by(|one, other| weight(other).total_cmp(&weight(one)));
        taken
    }
}

/// The names in a request's path behind its first `depth` segments, if a site can have such.
pub(crate) fn names(path: &RequestPath<'_>, depth: usize) -> Option<Vec<String>> {
    path.segments()
        .skip(depth)
        .map(|segment| {
            std::str::from_utf8(segment)
                .ok()
                .filter(|name| is_name(name))
                .map(str::to_owned)
        })
        .collect()
}

/// The names in a path of the settings.
pub(crate) fn names_of(path: &str) -> Option<Vec<String>> {
    let names = path.trim_start_matches('/').split('/');
    names.map(|name| is_name(name).then(|| name.to_owned())).collect()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\', '\0']) && !is_hidden(name)
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.') && name != WELL_KNOWN
}

/// Looks a path up. `as_folder` if it ends in a slash.
///
/// # Errors
/// The disk fails; that something is not there, or may not be read, is no error.
pub(crate) fn look(
    folder: &Path,
    names: &[String],
    as_folder: bool,
    index: &str,
    codings: &[Coding],
    documents_as_they_are: bool,
) -> io::Result<PathTarget> {
    let Some(root) = there(folder.canonicalize())? else {
        return Ok(PathTarget::Nothing);
    };
    let mut wanted = root.clone();
    wanted.extend(names);
    let Some(place) = inside(&root, &wanted)? else {
        return Ok(PathTarget::Nothing);
    };
    let Some(found) = there(fs::metadata(&place))? else {
        return Ok(PathTarget::Nothing);
    };
    if found.is_dir() {
        let document = place.join(index);
        let document = inside(&root, &document)?;
        return match document {
            Some(document) if as_folder => open(&root, &document, codings, documents_as_they_are),
            Some(document) if there(fs::metadata(&document))?.is_some_and(|found| found.is_file()) => {
                Ok(PathTarget::Folder)
            }
            _ => Ok(PathTarget::Nothing),
        };
    }
    match as_folder {
        true => Ok(PathTarget::Nothing),
        false => open(&root, &place, codings, documents_as_they_are),
    }
}

/// Where a path really is, if that is inside of `root` and hidden nowhere on the way.
fn inside(root: &Path, wanted: &Path) -> io::Result<Option<PathBuf>> {
    let Some(place) = there(wanted.canonicalize())? else {
        return Ok(None);
    };
    let shown = place.strip_prefix(root).is_ok_and(|inner| {
        inner.components().all(|part| match part {
            Component::Normal(name) => name.to_str().is_some_and(|name| !is_hidden(name)),
            _ => false,
        })
    });
    Ok(shown.then_some(place))
}

/// Opens a file, or one that was compressed from it.
fn open(
    root: &Path,
    place: &Path,
    codings: &[Coding],
    documents_as_they_are: bool,
) -> io::Result<PathTarget> {
    let Some(mut plain) = open_one(place)? else {
        return Ok(PathTarget::Nothing);
    };
    plain.kind = kind(&plain)?;
    if documents_as_they_are && plain.kind.starts_with("text/html") {
        return Ok(PathTarget::File(plain));
    }
    let mut compressed: Option<(usize, OpenFile)> = None;
    for coding in Coding::ALL {
        let beside = place.with_file_name(format!("{}{}", plain.name, coding.ending()));
        let Some(beside) = inside(root, &beside)? else {
            continue;
        };
        let Some(file) = open_one(&beside)? else { continue };
        if plain
            .modified
            .duration_since(file.modified)
            .is_ok_and(|age| age > STALE)
        {
            continue;
        }
        plain.has_codings = true;
        let Some(rank) = codings.iter().position(|wanted| *wanted == coding) else {
            continue;
        };
        if compressed.as_ref().is_none_or(|(best, _)| rank < *best) {
            let file = OpenFile {
                name: plain.name.clone(),
                kind: plain.kind.clone(),
                coding: Some(coding),
                has_codings: true,
                etag: format!("{}-{}", file.etag, coding.name()),
                ..file
            };
            compressed = Some((rank, file));
        }
    }
    Ok(PathTarget::File(compressed.map_or(plain, |(_, file)| file)))
}

/// The type of a file that is not compressed.
fn kind(plain: &OpenFile) -> io::Result<String> {
    let by_name = content_type(&plain.name, b"");
    if !is_text(&by_name) {
        return Ok(by_name);
    }
    let mut begins = vec![0; TELLING.min(usize::try_from(plain.length).unwrap_or(TELLING))];
    let mut length = 0;
    while let Some(rest) = begins.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match plain.file.read_at(rest, length as u64)? {
            0 => break,
            more => length += more,
        }
    }
    Ok(content_type(
        &plain.name,
        begins.get(..length).unwrap_or_default(),
    ))
}

/// One that is a file, and no device or pipe, at which whoever opens it may wait for ever.
fn open_one(place: &Path) -> io::Result<Option<OpenFile>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    // The bits of a flag, whichever type a system has for them.
    let flags = i32::try_from(flags).unwrap_or_default();
    let Some(file) = there(OpenOptions::new().read(true).custom_flags(flags).open(place))? else {
        return Ok(None);
    };
    let found = file.metadata()?;
    let Some(name) = place
        .file_name()
        .and_then(|name| name.to_str())
        .filter(|_| found.is_file())
    else {
        return Ok(None);
    };
    let changed = (
        found.ctime(),
        found.ctime_nsec(),
        found.mtime(),
        found.mtime_nsec(),
    );
    let etag = format!(
        "{:x}{:08x}-{:x}{:08x}-{:x}",
        changed.0,
        changed.1,
        changed.2,
        changed.3,
        found.len()
    );
    Ok(Some(OpenFile {
        name: name.to_owned(),
        kind: String::new(),
        length: found.len(),
        modified: found.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        etag,
        coding: None,
        has_codings: false,
        file,
    }))
}

/// What is not there, or not for this process to see, is not there for anybody.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput => Ok(None),
            // Links in a circle, and a socket.
            _ if matches!(Errno::from_io_error(&error), Some(Errno::LOOP | Errno::NXIO)) => Ok(None),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_taken_as_they_are_wanted() {
        for (sent, accepted) in [
            ("gzip, deflate, br", &[Coding::Brotli, Coding::Gzip][..]),
            ("gzip", &[Coding::Gzip]),
            ("br;q=0, gzip;q=0.5", &[Coding::Gzip]),
            ("*", &[Coding::Brotli, Coding::Gzip]),
            ("*, br;q=0", &[Coding::Gzip]),
            ("br;q=0.1, gzip;q=0.9", &[Coding::Gzip, Coding::Brotli]),
            ("gzip, *;q=0.5", &[Coding::Gzip, Coding::Brotli]),
            ("gzip;q=0.5, br;q=0.5", &[Coding::Brotli, Coding::Gzip]),
            ("gzip;q=x", &[]),
            ("BR", &[Coding::Brotli]),
            ("identity", &[]),
            ("", &[]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, sent.parse().unwrap_or_else(|_| unreachable!()));
            assert_eq!(Coding::accepted(&headers), accepted, "{sent}");
        }
    }
}
