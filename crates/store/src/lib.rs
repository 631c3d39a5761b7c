//! What must outlive a restart: sessions, key ring, access_token.
