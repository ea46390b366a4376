//! Files to be made and changed: all of them or none.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Failure, Result};

/// What a command is about to do to a folder. Nothing that exists is overwritten, and when a step fails the ones
/// before it are taken back.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    made: Vec<Made>,
    edited: Vec<Edited>,
}

#[derive(Debug)]
struct Made {
    path: PathBuf,
    content: String,
}

#[derive(Debug)]
struct Edited {
    path: PathBuf,
    /// What it was when it was read, and has to be when it's written.
    before: String,
    after: String,
}

impl Changes {
    /// A new file.
    pub(crate) fn make(&mut self, path: impl Into<PathBuf>, content: String) {
        let path = path.into();
        self.made.push(Made { path, content });
    }

    /// A file that was read as `before` and shall become `after`. One edit for each file: a second would find it
    /// changed.
    pub(crate) fn edit(&mut self, path: impl Into<PathBuf>, before: String, after: String) {
        self.edited.push(Edited {
            path: path.into(),
            before,
            after,
        });
    }

    pub(crate) fn made(&self) -> impl Iterator<Item = &Path> {
        self.made.iter().map(|it| &*it.path)
    }

    /// Each with its text before and after.
    pub(crate) fn edited(&self) -> impl Iterator<Item = (&Path, &str, &str)> {
        let edited = self.edited.iter();
        edited.map(|it| (&*it.path, &*it.before, &*it.after))
    }

    /// Whether all of it can be done, as far as that shows.
    pub(crate) fn check(&self) -> Result {
        let there = |it: &&Made| it.path.symlink_metadata().is_ok();
        match self.made.iter().find(there) {
            Some(made) => Err(exists(&made.path)),
            None => Ok(()),
        }
    }

    /// Does it.
    pub(crate) fn write(&self) -> Result {
        self.check()?;
        let mut done = Done::default();
        let written = self.write_steps(&mut done);
        if written.is_err() {
            done.take_back();
        }
        written
    }

    fn write_steps<'a>(&'a self, done: &mut Done<'a>) -> Result {
        for Made { path, content } in &self.made {
            let failed = |error: io::Error| match error.kind() {
                ErrorKind::AlreadyExists => exists(path),
                _ => not_written(path, &error),
            };
            if let Some(folder) = path.parent() {
                make_folders(folder, &mut done.folders)
                    .map_err(|error| not_written(path, &error))?;
            }
            // It may have come into being since it was looked for, so the system is asked to make it anew.
            let file = OpenOptions::new().write(true).create_new(true).open(path);
            let mut file = file.map_err(failed)?;
            done.files.push(path);
            file.write_all(content.as_bytes()).map_err(failed)?;
        }
        for edited in &self.edited {
            if read(&edited.path)? != edited.before {
                return Err(Failure::new(format_args!(
                    "{} was changed by somebody else meanwhile; nothing was done, try again",
                    edited.path.display()
                )));
            }
            replace(&edited.path, &edited.after)
                .map_err(|error| not_written(&edited.path, &error))?;
            done.edits.push(edited);
        }
        Ok(())
    }
}

/// What was done so far.
#[derive(Default)]
struct Done<'a> {
    folders: Vec<PathBuf>,
    files: Vec<&'a Path>,
    edits: Vec<&'a Edited>,
}

impl Done<'_> {
    /// What can't be taken back stays: the failure that led here is what people have to hear of.
    fn take_back(&self) {
        for edited in self.edits.iter().rev() {
            let _ = replace(&edited.path, &edited.before);
        }
        for path in self.files.iter().rev() {
            let _ = fs::remove_file(path);
        }
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Makes a folder and those above it; `made` is told which weren't there.
fn make_folders(folder: &Path, made: &mut Vec<PathBuf>) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_folders(above, made)?;
    }
    fs::create_dir(folder)?;
    made.push(folder.to_owned());
    Ok(())
}

/// Puts `text` in the place of a file, at once: who reads it sees the one or the other.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // What a link leads to is replaced, not the link.
    let path = path.canonicalize()?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.bennu", std::process::id()));
    let beside = path.with_file_name(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| fs::set_permissions(&beside, fs::metadata(&path)?.permissions()))
        .and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path)
        .map_err(|error| Failure::new(format_args!("failed to read {}: {error}", path.display())))
}

fn exists(path: &Path) -> Failure {
    Failure::new(format_args!(
        "{} exists already, and nothing is overwritten; choose another name, or remove it first",
        path.display()
    ))
}

fn not_written(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format_args!("failed to write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file below a folder, with its text.
    fn files(folder: &Path) -> Vec<(String, String)> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files.extend(self::files(&path));
                files.push((path.display().to_string(), "/".to_owned()));
            } else {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.display().to_string(), text));
            }
        }
        files.sort();
        files
    }

    /// A folder with `a` in it, and changes that make `sub/b` and edit `a`.
    fn scene() -> (tempfile::TempDir, Changes) {
        let folder = tempfile::tempdir().unwrap();
        let a = folder.path().join("a");
        fs::write(&a, "old").unwrap();
        let mut changes = Changes::default();
        changes.make(folder.path().join("sub/b"), "b".to_owned());
        changes.edit(&a, "old".to_owned(), "new".to_owned());
        (folder, changes)
    }

    #[test]
    fn all_is_written() {
        let (folder, changes) = scene();
        let a = folder.path().join("a");
        changes.write().unwrap();
        assert_eq!(fs::read_to_string(a).unwrap(), "new");
        assert_eq!(
            fs::read_to_string(folder.path().join("sub/b")).unwrap(),
            "b"
        );
        assert_eq!(files(folder.path()).len(), 3);
    }

    #[test]
    fn nothing_is_left_of_changes_that_fail() {
        let check = |spoil: fn(&Path, &mut Changes), expected: &str| {
            let (folder, mut changes) = scene();
            spoil(folder.path(), &mut changes);
            let before = files(folder.path());
            let failure = changes.write().unwrap_err().to_string();
            assert!(failure.contains(expected), "{failure}");
            assert_eq!(files(folder.path()), before, "{expected}");
        };
        check(
            |folder, _| {
                fs::create_dir(folder.join("sub")).unwrap();
                fs::write(folder.join("sub/b"), "mine").unwrap();
            },
            "exists already",
        );
        check(
            |folder, _| fs::write(folder.join("a"), "changed").unwrap(),
            "changed by somebody else",
        );
        check(
            |folder, changes| {
                fs::write(folder.join("c"), "no folder").unwrap();
                changes.make(folder.join("c/d"), String::new());
            },
            "failed to write",
        );
        check(
            |folder, changes| changes.edit(folder.join("z"), String::new(), String::new()),
            "failed to read",
        );
    }
}
