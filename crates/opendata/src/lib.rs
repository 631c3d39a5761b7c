//! Session keys, signatures, decryption, watermarks, and tickets (our own cloudIDs).
