//! `.yunqiao`: the folder in a project where we keep what belongs to this machine. A repository may bring one along, so no link
//! in it is followed: it could lead to any file of its reader's.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write as _},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags},
    io::Errno,
};

/// Its name.
pub(crate) const NAME: &str = ".yunqiao";

/// The opened folder. Files in it are the owner's alone.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    opened: OwnedFd,
}

impl Folder {
    /// The folder of the project in `root`.
    ///
    /// # Errors
    /// When it is not there, is a link, or cannot be opened.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let path = root.join(NAME);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
            Ok(opened) => Ok(Self { path, opened }),
            // Which of the two a link gets differs from system to system.
            Err(Errno::LOOP | Errno::NOTDIR) if path.is_symlink() => Err(is_a_link(&path)),
            Err(error) => Err(error.into()),
        }
    }

    /// The same; makes the folder if it is not there, as nothing that a repository should hold.
    ///
    /// # Errors
    /// As of [`Folder::open`], and when it cannot be made.
    pub(crate) fn make(root: &Path) -> io::Result<Self> {
        match fs::create_dir(root.join(NAME)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let folder = Self::open(root)?;
        match folder.create(".gitignore") {
            Ok(mut file) => file.write_all(b"*\n")?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        Ok(folder)
    }

    /// Opens a file to read it.
    pub(crate) fn read(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDONLY)
    }

    /// Opens a file to write behind what it holds, and to see that; makes it if it is not there.
    pub(crate) fn append(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)
    }

    /// Makes a file that is not there yet.
    pub(crate) fn create(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    /// Removes a file, or a link; that it is not there is as good.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.opened, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a file another name, in the place of one that has it.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.opened, from, &self.opened, to)?)
    }

    fn open_file(&self, name: &str, how: OFlags) -> io::Result<File> {
        // NONBLOCK: a pipe in the place of a file must not be waited for.
        let flags = how | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match rustix::fs::openat(&self.opened, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(opened) => Ok(File::from(opened)),
            Err(Errno::LOOP) => Err(is_a_link(&self.path.join(name))),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_a_link(path: &Path) -> io::Error {
    io::Error::other(format!(
        "{} is a link, and may lead anywhere: remove it",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn no_link_is_followed() {
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let victim = elsewhere.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        fs::create_dir(root.path().join(NAME)).unwrap();
        for name in [".gitignore", "file"] {
            symlink(&victim, root.path().join(NAME).join(name)).unwrap();
        }
        let folder = Folder::make(root.path()).unwrap();
        for opened in [folder.read("file"), folder.append("file"), folder.create("file")] {
            assert!(opened.is_err());
        }
        assert!(
            folder
                .append("file")
                .unwrap_err()
                .to_string()
                .contains("is a link")
        );
        folder.remove("file").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");

        symlink(elsewhere.path(), root.path().join("other")).unwrap();
        fs::rename(root.path().join("other"), root.path().join(".other")).unwrap();
        fs::remove_dir_all(root.path().join(NAME)).unwrap();
        fs::rename(root.path().join(".other"), root.path().join(NAME)).unwrap();
        assert!(
            Folder::make(root.path())
                .unwrap_err()
                .to_string()
                .contains("is a link")
        );
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_are_the_owners_alone_and_git_passes_them_over() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Folder::open(root.path()).unwrap_err().kind(), ErrorKind::NotFound);
        let folder = Folder::make(root.path()).unwrap();
        let mode = folder
            .append("file")
            .unwrap()
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_to_string(root.path().join(".yunqiao/.gitignore")).unwrap(),
            "*\n"
        );
        assert_eq!(
            folder.create("file").unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        folder.rename("file", "other").unwrap();
        folder.remove("file").unwrap();
        folder.read("other").unwrap();
    }
}
