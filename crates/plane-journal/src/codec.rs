//! Rows and batches as bytes: lengths as LEB128, everything else as it is.
//!
//! The format is the same in a segment, a snapshot and an etcd value. A reader trusts nothing: each
//! length is checked against what is left before anything is allocated.

use std::sync::Arc;

use crate::{Batch, RowChange};

/// Why bytes that passed their checksum still make no sense: a bug or another program's file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub(crate) struct BadBytes {
    what: &'static str,
    at: usize,
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_row(out: &mut Vec<u8>, row: &RowChange) {
    put_bytes(out, row.table.as_bytes());
    put_number(out, u64::from(row.version));
    put_bytes(out, &row.key);
    // 0 deletes; anything else is the value's length plus one.
    match &row.value {
        None => out.push(0),
        Some(value) => {
            put_number(out, value.len() as u64 + 1);
            out.extend_from_slice(value);
        }
    }
}

pub(crate) fn put_batch(out: &mut Vec<u8>, batch: &Batch) {
    put_number(out, batch.rev);
    // Zigzag, so that a clock before 1970 does not cost ten bytes.
    put_number(out, ((batch.at_ms << 1) ^ (batch.at_ms >> 63)) as u64);
    put_number(out, batch.changes.len() as u64);
    for row in &batch.changes {
        put_row(out, row);
    }
}

/// Table names repeat in every row: one allocation each, then shared.
#[derive(Default)]
pub(crate) struct TableNames(Vec<Arc<str>>);

impl TableNames {
    fn share(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| &***known == name) {
            return known.clone();
        }
        let shared: Arc<str> = name.into();
        // A journal of ours has a few dozen tables; more would be someone else's bytes.
        if self.0.len() < 1024 {
            self.0.push(shared.clone());
        }
        shared
    }
}

pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn bad<T>(&self, what: &'static str) -> Result<T, BadBytes> {
        Err(BadBytes { what, at: self.at })
    }

    fn number(&mut self) -> Result<u64, BadBytes> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.bytes.get(self.at) else {
                return self.bad("a number is cut short");
            };
            self.at += 1;
            if shift == 63 && byte > 1 {
                return self.bad("a number is too large");
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        self.bad("a number is too long")
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], BadBytes> {
        let left = (self.bytes.len() - self.at) as u64;
        if length > left {
            return self.bad("a length reaches past the end");
        }
        let slice = &self.bytes[self.at..self.at + length as usize];
        self.at += length as usize;
        Ok(slice)
    }

    pub fn row(&mut self, names: &mut TableNames) -> Result<RowChange, BadBytes> {
        let length = self.number()?;
        let Ok(table) = std::str::from_utf8(self.take(length)?) else {
            return self.bad("a table name is not UTF-8");
        };
        let table = names.share(table);
        let Ok(version) = u32::try_from(self.number()?) else {
            return self.bad("a row version is too large");
        };
        let length = self.number()?;
        let key = self.take(length)?.to_vec();
        let value = match self.number()? {
            0 => None,
            length => Some(self.take(length - 1)?.to_vec()),
        };
        Ok(RowChange { table, version, key, value })
    }

    pub fn batch(&mut self, names: &mut TableNames) -> Result<Batch, BadBytes> {
        let rev = self.number()?;
        let zigzag = self.number()?;
        let at_ms = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        let count = self.number()?;
        let left = (self.bytes.len() - self.at) as u64;
        // The smallest row is four bytes, so a false count cannot make us allocate.
        if count > left / 4 {
            return self.bad("a batch claims more rows than it has bytes");
        }
        let mut changes = Vec::with_capacity(count as usize);
        for _ in 0..count {
            changes.push(self.row(names)?);
        }
        Ok(Batch { rev, at_ms, changes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows() -> impl Strategy<Value = RowChange> {
        let value = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..64));
        let key = proptest::collection::vec(any::<u8>(), 0..16);
        ("[a-z_]{0,12}", any::<u32>(), key, value).prop_map(|(table, version, key, value)| {
            RowChange { table: table.as_str().into(), version, key, value }
        })
    }

    proptest! {
        #[test]
        fn a_batch_comes_back_as_it_went(
            rev in any::<u64>(),
            at_ms in any::<i64>(),
            changes in proptest::collection::vec(rows(), 0..8),
        ) {
            let batch = Batch { rev, at_ms, changes };
            let mut bytes = Vec::new();
            put_batch(&mut bytes, &batch);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.batch(&mut TableNames::default()).unwrap(), batch);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let mut names = TableNames::default();
            let mut reader = Reader::new(&bytes);
            while let Ok(batch) = reader.batch(&mut names) {
                prop_assert!(batch.changes.len() <= bytes.len());
                if reader.is_empty() {
                    break;
                }
            }
        }
    }
}
