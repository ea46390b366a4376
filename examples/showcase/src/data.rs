//! What is kept between two starts: a folder with the forum's database and the secret that tokens are signed with.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

const SECRET: &str = "secret";
const DATABASE: &str = "discuss.db";
const SECRET_BYTES: usize = 32;
/// Twice as many digits.
const SECRET_CHARS: usize = 2 * SECRET_BYTES;

/// The folder, with a secret in it.
pub(crate) struct Data {
    folder: PathBuf,
    secret: String,
}

impl Data {
    /// Makes what isn't there yet. The error is a sentence.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        fs::create_dir_all(folder)
            .map_err(|error| format!("failed to make the folder {}: {error}", folder.display()))?;
        let file = folder.join(SECRET);
        let secret = match make_secret(&file) {
            Ok(secret) => secret,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => read_secret(&file)?,
            Err(error) => return Err(format!("failed to write {}: {error}", file.display())),
        };
        let folder = folder.to_owned();
        Ok(Self { folder, secret })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// 64 digits. It stays the same, so that a restart signs nobody out.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// The address of the forum's database.
    pub(crate) fn database(&self) -> Result<String, String> {
        let file = self.folder.join(DATABASE);
        match file.to_str() {
            // These would end the file's name in an address.
            Some(name) if !name.contains(['?', '#', '%']) => Ok(format!("sqlite://{name}")),
            _ => Err(format!(
                "the folder {} can't have a database: its name has one of ? # % or isn't UTF-8",
                self.folder.display()
            )),
        }
    }
}

fn make_secret(file: &Path) -> std::io::Result<String> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(file)?;
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    let secret: String = bytes.iter().map(|it| format!("{it:02x}")).collect();
    file.write_all(secret.as_bytes())?;
    Ok(secret)
}

fn read_secret(file: &Path) -> Result<String, String> {
    let name = file.display();
    let mut secret = String::new();
    File::open(file)
        .and_then(|it| it.take(SECRET_CHARS as u64 + 1).read_to_string(&mut secret))
        .map_err(|error| format!("failed to read {name}: {error}"))?;
    match secret.len() == SECRET_CHARS && secret.bytes().all(|it| it.is_ascii_hexdigit()) {
        true => Ok(secret),
        false => Err(format!(
            "{name} isn't a secret of {SECRET_CHARS} digits; delete it, and a new one is made"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_is_nobody_elses_business() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("a/b");
        let first = Data::open(&folder).unwrap();
        let second = Data::open(&folder).unwrap();
        assert_eq!(first.secret(), second.secret());
        assert_eq!(first.secret().len(), SECRET_CHARS);
        let mode = fs::metadata(folder.join(SECRET)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(first.secret(), Data::open(other.path()).unwrap().secret());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let check = |prepare: &dyn Fn(&Path) -> std::io::Result<()>, expected: &str| {
            let parent = tempfile::tempdir().unwrap();
            let folder = parent.path().join("data");
            prepare(&folder).unwrap();
            let Err(why) = Data::open(&folder) else {
                panic!("it was taken, not refused with: {expected}");
            };
            assert!(why.contains(expected), "{why}");
        };
        let secret = |content: &'static [u8]| {
            move |folder: &Path| {
                fs::create_dir(folder)?;
                fs::write(folder.join(SECRET), content)
            }
        };
        let no_secret = "isn't a secret of 64 digits";
        check(&secret(b"short"), no_secret);
        check(&secret(&[b'g'; 64]), no_secret);
        check(&secret(&[b'0'; 1_000_000]), no_secret);
        check(&secret(&[0xff; 64]), "failed to read");
        let secret_folder = |it: &Path| fs::create_dir_all(it.join(SECRET));
        check(&secret_folder, "failed to read");
        let no_folder = |it: &Path| fs::write(it, "a file");
        check(&no_folder, "failed to make the folder");
    }

    #[test]
    fn a_name_that_an_address_cannot_have_is_refused() {
        let check = |name: &str, expected: bool| {
            let folder = tempfile::tempdir().unwrap();
            let data = Data::open(&folder.path().join(name)).unwrap();
            assert_eq!(data.database().is_ok(), expected, "{name}");
        };
        check("with a space", true);
        check("what?", false);
        check("50%20", false);
        check("c#", false);
    }
}
