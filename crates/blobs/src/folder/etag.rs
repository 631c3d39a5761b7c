//! The ETag of a content, which is hashed as it comes. Up to 16 MB it is the MD5, as on the platform. But a core that does nothing else
//! hashes some 560 MB a second by MD5, and a large upload waited for nothing else; so what follows those 16 MB is hashed by SHA-1, for
//! which processors have instructions. Such an ETag is the MD5 of both digests, one after the other, and ends with `-2`, the number of
//! parts that it is made of, as object stores' ETags do.

use md5::{Digest as _, Md5};
use sha1::Sha1;

/// Bytes of which the ETag is the MD5.
pub(super) const FIRST: usize = 16 << 20;

#[derive(Clone, Default)]
pub(super) struct EtagDigest {
    first: Md5,
    /// Bytes that are in there.
    length: usize,
    rest: Option<Sha1>,
}

impl EtagDigest {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(FIRST - self.length));
        self.first.update(first);
        self.length += first.len();
        if !rest.is_empty() {
            self.rest.get_or_insert_default().update(rest);
        }
    }

    /// The ETag, without quotes.
    pub(super) fn finish(self) -> String {
        let first = self.first.finalize();
        match self.rest {
            None => base16ct::lower::encode_string(&first),
            Some(rest) => {
                let both = Md5::new().chain_update(first).chain_update(rest.finalize());
                format!("{}-2", base16ct::lower::encode_string(&both.finalize()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etag(content: &[u8], pieces: usize) -> String {
        let mut digest = EtagDigest::default();
        content.chunks(pieces).for_each(|piece| digest.update(piece));
        digest.finish()
    }

    /// `head -c 16777216 FILE | md5sum`, `tail -c +16777217 FILE | sha1sum`, and the MD5 of both.
    #[test]
    fn an_etag_is_the_md5_and_of_a_large_file_that_of_its_two_parts() {
        let content: Vec<u8> = (0..FIRST + 5).map(|at| (at % 251) as u8).collect();
        for (length, expected) in [
            (0, "d41d8cd98f00b204e9800998ecf8427e"),
            (FIRST, "3fa26ae9e0a7aa835755bee5ed80ff95"),
            (FIRST + 1, "d97c71fd5fa63f11055939cd39109771-2"),
            (FIRST + 5, "921212cabe7a8d2b500b7ef276c4ec38-2"),
        ] {
            for pieces in [FIRST + 5, FIRST, 1 << 20, 1_000_003] {
                assert_eq!(etag(&content[..length], pieces), expected, "{length} in {pieces}");
            }
        }
    }
}
