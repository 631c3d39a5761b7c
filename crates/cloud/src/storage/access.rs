//! What the cloud's storage is made of, the addresses by which files come and go, and who may write where. What is sealed into an address
//! is `files::Rights`' business; the door that opens it is `file_door`.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use blobs::{Blob, BlobError, Blobs, MayReplace};
use clock::Clock;
use files::{Client, CloudPath, Download, Rights, Storage, Upload, name_in_address, plain_path};
use rules::{Caller, Denial, Operation, StoragePermission};

use crate::cdn;

/// What every address of a file begins with.
pub const FILES: &str = "/v1/files/";
/// Behind it, where no right is needed.
pub(crate) const PUBLIC: &str = "public/";
/// Behind it, where an upload is only told why it cannot be.
pub(crate) const REFUSED: &str = "refused/";

/// How long an address to upload to is good for.
const UPLOAD_LIFE: Duration = Duration::from_secs(60 * 60);
/// How long an address is good for at most that a client asks for.
const CLIENTS_LONGEST: u64 = 7 * 24 * 3600;
/// The same where the place itself is asked, and not everybody may read all that lies there: as long as the platform's own addresses of
/// private files.
const CLIENTS_AT_THE_PLACE: u64 = 10 * 60;

/// What the cloud's storage is made of.
#[derive(Clone)]
pub struct StorageAccess {
    /// Where files are kept.
    pub blobs: Arc<dyn Blobs>,
    /// Which environment's they are.
    pub storage: Storage,
    /// Seals and opens addresses.
    pub rights: Rights,
    /// Decides when an address expires.
    pub clock: Clock,
    /// How clients reach the gateway: `http://127.0.0.1:8787`.
    pub public_url: String,
    /// Whether files are read at the place itself, by the addresses that it signs; the gateway's door has them all the same.
    pub at_the_place: bool,
    /// What clients may do. Where everybody may read all files, an address needs no seal, and does not expire.
    pub permission: Arc<ArcSwap<StoragePermission>>,
    /// How long an address is good for where nobody says.
    pub url_life: Duration,
    /// The largest file, in bytes.
    pub most: u64,
    /// What all files may take together, in bytes, with what each has beside its content.
    pub quota: Option<u64>,
}

impl StorageAccess {
    /// An address to read a file by; with the seconds for which it is good. One for `client` is of a file that it may read now.
    ///
    /// # Errors
    /// The place cannot sign one.
    pub async fn address(
        &self,
        path: &CloudPath,
        max_age: Option<u64>,
        client: Option<&Caller>,
    ) -> Result<(String, u64), BlobError> {
        if self.at_the_place {
            let age = self.age_at_the_place(max_age, client);
            if let Some(address) = self.blobs.address(path, Duration::from_secs(age)).await? {
                return Ok((address, age));
            }
        }
        Ok(self.download_url(path, max_age, client))
    }

    /// For how many seconds an address of the place itself is good. The place judges nothing when it is used; where not everybody may read,
    /// another's file may lie there by then.
    fn age_at_the_place(&self, max_age: Option<u64>, client: Option<&Caller>) -> u64 {
        let url_life = self.url_life.as_secs();
        let age = max_age.unwrap_or(url_life);
        match client {
            None => age,
            Some(_) if self.permission.load().lets_all_read() => age.min(url_life),
            Some(_) => age.min(url_life).min(CLIENTS_AT_THE_PLACE),
        }
    }

    /// An address at the gateway.
    pub(crate) fn download_url(
        &self,
        path: &CloudPath,
        max_age: Option<u64>,
        client: Option<&Caller>,
    ) -> (String, u64) {
        let mut age = max_age.unwrap_or(self.url_life.as_secs());
        if client.is_some() {
            age = age.min(CLIENTS_LONGEST.max(self.url_life.as_secs()));
        }
        let base = self.public_url.trim_end_matches('/');
        let until = match self.permission.load().lets_all_read() {
            true => {
                if let Some(path) = plain_path(path) {
                    return (format!("{base}{FILES}{PUBLIC}{path}"), age);
                }
                None
            }
            false => Some(self.clock.now() + Duration::from_secs(age)),
        };
        let sealed = self.rights.seal_download(&Download {
            path: path.clone(),
            reader: client.map(client_of),
            until,
        });
        (format!("{base}{FILES}{sealed}/{}", name_in_address(path)), age)
    }

    /// An address for a function to send a file to, or for whomever it hands it on to.
    pub(crate) fn upload_url(&self, path: CloudPath) -> String {
        self.sealed_upload(path, None, self.most)
    }

    /// An address for a client to send a file to, which will be the client's.
    pub(crate) fn client_upload_url(&self, path: CloudPath, caller: &Caller) -> String {
        self.sealed_upload(path, Some(client_of(caller)), self.most)
    }

    /// An address to send what a `CDN` holds to, which will be nobody's.
    pub(crate) fn cdn_upload_url(&self, path: CloudPath) -> String {
        self.sealed_upload(path, None, self.most.min(cdn::LARGEST))
    }

    fn sealed_upload(&self, path: CloudPath, writer: Option<Client>, most: u64) -> String {
        let sealed = self.rights.seal_upload(&Upload {
            path,
            writer,
            until: self.clock.now() + UPLOAD_LIFE,
            most,
        });
        let base = self.public_url.trim_end_matches('/');
        format!("{base}{FILES}{sealed}")
    }

    /// Whether a client may write the file, as it lies there now. What a function uploads belongs to nobody.
    pub(crate) async fn may_write(
        &self,
        path: &CloudPath,
        caller: &Caller,
    ) -> Result<Result<(), Box<Denial>>, BlobError> {
        let there = self.blobs.look(path).await?;
        Ok(judge_write(&self.permission.load(), path, caller, there.as_ref()))
    }

    /// The same, for the moment in which the file takes its place.
    pub(crate) fn may_replace(&self, path: &CloudPath, caller: &Caller) -> MayReplace {
        let (permission, path, caller) = (Arc::clone(&self.permission), path.clone(), caller.clone());
        Box::new(move |there| judge_write(&permission.load(), &path, &caller, there).is_ok())
    }

    /// An address at which the sender of a file is told that `path` is not legal, or not for them.
    pub(crate) fn refused_url(&self, path: &str) -> String {
        let base = self.public_url.trim_end_matches('/');
        format!("{base}{FILES}{REFUSED}{}", URL_SAFE_NO_PAD.encode(path))
    }
}

/// Whether a client may write a file to where this lies, or nothing.
fn judge_write(
    permission: &StoragePermission,
    path: &CloudPath,
    caller: &Caller,
    there: Option<&Blob>,
) -> Result<(), Box<Denial>> {
    let (operation, owner) = match there {
        Some(blob) => (Operation::Update, Some(blob.owner.as_str())),
        None => (Operation::Create, caller.owner()),
    };
    permission.judge(operation, caller, path.as_str(), owner)
}

/// A client as it is sealed into an address.
fn client_of(caller: &Caller) -> Client {
    match (&caller.uid, &caller.openid) {
        (Some(uid), openid) => Client::Web {
            uid: uid.clone(),
            login_type: caller.login_type.clone().unwrap_or_default(),
            openid: openid.clone(),
        },
        (None, Some(openid)) => Client::User(openid.clone()),
        (None, None) => Client::Visitor,
    }
}

/// The client again, as permissions see it.
pub(crate) fn caller_of(client: &Client) -> Caller {
    match client {
        Client::Visitor => Caller::default(),
        Client::User(openid) => Caller::of_openid(openid),
        Client::Web {
            uid,
            login_type,
            openid,
        } => Caller {
            openid: openid.clone(),
            uid: Some(uid.clone()),
            login_type: Some(login_type.clone()),
        },
    }
}

/// The path that [`StorageAccess::refused_url`] has in it.
pub(crate) fn path_of_refused(encoded: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

#[cfg(test)]
impl StorageAccess {
    /// Storage at this place, with the platform's usual permission.
    pub(crate) fn in_tests(place: impl Blobs + 'static) -> Self {
        Self {
            blobs: Arc::new(place),
            storage: Storage::new("env", "wx1", None),
            rights: Rights::new(&seal::KeyRing::generate(), "wx1"),
            clock: Clock::system(),
            public_url: "http://127.0.0.1".to_owned(),
            at_the_place: false,
            permission: Arc::default(),
            url_life: Duration::from_secs(60),
            most: 4 << 20,
            quota: None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use blobs::{Folder, FolderOptions};
    use rules::Level;

    use super::*;

    #[test]
    fn what_the_place_itself_gives_to_a_client_is_good_for_minutes() {
        let place = Folder::temporary(FolderOptions::default()).unwrap();
        let mut private = StorageAccess::in_tests(place);
        private.permission = Arc::new(ArcSwap::from_pointee(StoragePermission::Level(Level::Private)));
        let mut public = private.clone();
        public.permission = Arc::default();
        let alice = Caller::of_openid("alice");
        let mut long = private.clone();
        long.url_life = Duration::from_secs(24 * 3600);
        let asked = Some(7200);
        assert_eq!(long.age_at_the_place(asked, Some(&alice)), 600);
        assert_eq!(long.age_at_the_place(None, Some(&alice)), 600);
        assert_eq!(
            private.age_at_the_place(asked, Some(&alice)),
            60,
            "as the operator says"
        );
        assert_eq!(
            long.age_at_the_place(asked, None),
            7200,
            "a function gives to whom it likes"
        );
        public.url_life = Duration::from_secs(3600);
        assert_eq!(
            public.age_at_the_place(asked, Some(&alice)),
            3600,
            "what all may read is good for as long as the operator says"
        );
    }
}
