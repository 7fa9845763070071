//! What hosts are told.
