//! Tar archives, entry by entry, from a stream that nobody vouches for. The `tar` crate reads a
//! header's fields; the walk is our own, since that crate takes extension headers of any size into
//! memory and a small compressed layer can claim gigabytes.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::{EntryType, Header};

const BLOCK: usize = 512;
/// Names, links and extended attributes of one entry.
const LARGEST_EXTENSION: u64 = 1 << 20;
const MOST_SPARSE_PARTS: usize = 100_000;

#[derive(Debug, thiserror::Error)]
pub enum TarError {
    #[error("reading the archive: {0}")]
    Read(#[source] io::Error),
    #[error("the archive is cut short")]
    Short,
    #[error("not a tar archive: {0}")]
    Malformed(&'static str),
    #[error("an extension header of {0} bytes exceeds {LARGEST_EXTENSION}")]
    Extension(u64),
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> TarError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => TarError::Short,
            _ => TarError::Read(error),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    Hardlink,
    CharDevice,
    BlockDevice,
    Fifo,
}

/// One entry, before its data. Names are as the archive has them: hostile until proven otherwise.
#[derive(Clone, Debug)]
pub struct Entry {
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub kind: Kind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Bytes of data that follow in the archive.
    pub stored: u64,
    /// How long the file is: more than `stored` where it has holes.
    pub size: u64,
    pub mtime: (i64, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub device: (u32, u32),
    /// Where the stored bytes belong, if the file has holes.
    pub sparse: Option<Vec<(u64, u64)>>,
}

/// Reads an archive; between two calls of `next`, reading gives the entry's data.
pub struct TarStream<R> {
    inner: R,
    left: u64,
    padding: u64,
}

#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl<R: Read> TarStream<R> {
    pub fn new(inner: R) -> TarStream<R> {
        TarStream { inner, left: 0, padding: 0 }
    }

    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The next entry that is a thing in a file system.
    pub fn next(&mut self) -> Result<Option<Entry>, TarError> {
        self.skip_rest()?;
        let mut extensions = Extensions::default();
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            let size = field(&header.as_old().size, header.entry_size(), "a size")?;
            match header.entry_type() {
                EntryType::GNULongName => extensions.path = Some(self.extension(size, true)?),
                EntryType::GNULongLink => extensions.link = Some(self.extension(size, true)?),
                EntryType::XHeader => {
                    parse_pax(&self.extension(size, false)?, &mut extensions.pax)?
                }
                // Comments about the whole archive (git writes its commit there).
                EntryType::XGlobalHeader => drop(self.extension(size, false)?),
                kind => match self.entry(&header, kind, size, &mut extensions)? {
                    Some(entry) => return Ok(Some(entry)),
                    None => {
                        self.skip_rest()?;
                        extensions = Extensions::default();
                    }
                },
            }
        }
    }

    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let mut header = Header::new_old();
        if !self.block(header.as_mut_bytes())? || header.as_bytes().iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let bytes = header.as_bytes();
        let sum: u32 = bytes[..148].iter().chain(&bytes[156..]).map(|b| u32::from(*b)).sum();
        if header.cksum().ok() != Some(sum + 8 * u32::from(b' ')) {
            return Err(TarError::Malformed("a header's checksum is wrong"));
        }
        Ok(Some(header))
    }

    /// False at a clean end of the stream.
    fn block(&mut self, into: &mut [u8; BLOCK]) -> Result<bool, TarError> {
        let mut have = 0;
        while have < BLOCK {
            match self.inner.read(&mut into[have..]) {
                Ok(0) if have == 0 => return Ok(false),
                Ok(0) => return Err(TarError::Short),
                Ok(n) => have += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    fn extension(&mut self, size: u64, is_text: bool) -> Result<Vec<u8>, TarError> {
        if size > LARGEST_EXTENSION {
            return Err(TarError::Extension(size));
        }
        self.begin(size);
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        self.skip_rest()?;
        if is_text {
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            bytes.truncate(end);
        }
        Ok(bytes)
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    fn skip_rest(&mut self) -> Result<(), TarError> {
        let wanted = self.left.checked_add(self.padding).ok_or(TarError::Malformed("a size"))?;
        let skipped = io::copy(&mut (&mut self.inner).take(wanted), &mut io::sink())?;
        // Some tools leave out what fills the last block; Go's reader, and so Docker, accepts that.
        let whole = skipped >= self.left;
        (self.left, self.padding) = (0, 0);
        if whole { Ok(()) } else { Err(TarError::Short) }
    }

    /// `None` is an entry that means nothing to us, as POSIX wants unknown kinds treated.
    fn entry(
        &mut self,
        header: &Header,
        kind: EntryType,
        size: u64,
        extensions: &mut Extensions,
    ) -> Result<Option<Entry>, TarError> {
        let malformed = TarError::Malformed;
        let pax = &mut extensions.pax;
        let number =
            |pax: &BTreeMap<Vec<u8>, Vec<u8>>, key: &[u8]| -> Result<Option<u64>, TarError> {
                pax.get(key).map(|v| decimal(v).ok_or(malformed("a number"))).transpose()
            };
        let stored = number(pax, b"size")?.unwrap_or(size);
        let path = pax.remove(b"path".as_slice()).or(extensions.path.take());
        let link = pax.remove(b"linkpath".as_slice()).or(extensions.link.take());
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Link => Kind::Hardlink,
            EntryType::Char => Kind::CharDevice,
            EntryType::Block => Kind::BlockDevice,
            EntryType::Fifo => Kind::Fifo,
            _ => {
                self.begin(stored);
                return Ok(None);
            }
        };
        let id = |pax: Option<u64>, own: u64| -> Result<u32, TarError> {
            u32::try_from(pax.unwrap_or(own)).map_err(|_| malformed("an owner"))
        };
        let mut entry = Entry {
            path: path.unwrap_or_else(|| header.path_bytes().into_owned()),
            link: link
                .or_else(|| header.link_name_bytes().map(|l| l.into_owned()))
                .unwrap_or_default(),
            kind,
            mode: field(&header.as_old().mode, header.mode(), "a mode")? & 0o7777,
            uid: id(number(pax, b"uid")?, field(&header.as_old().uid, header.uid(), "an owner")?)?,
            gid: id(number(pax, b"gid")?, field(&header.as_old().gid, header.gid(), "a group")?)?,
            stored,
            size: stored,
            mtime: match pax.get(b"mtime".as_slice()) {
                Some(text) => seconds(text).ok_or(malformed("a time"))?,
                None => (i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0), 0),
            },
            xattrs: Vec::new(),
            device: (
                header.device_major().ok().flatten().unwrap_or(0),
                header.device_minor().ok().flatten().unwrap_or(0),
            ),
            sparse: None,
        };
        // Archives of the first Unixes mark directories by their name alone.
        if entry.kind == Kind::File && entry.path.ends_with(b"/") {
            entry.kind = Kind::Directory;
        }
        self.begin(stored);
        if header.entry_type() == EntryType::GNUSparse {
            self.gnu_sparse(header, &mut entry)?;
        } else {
            self.pax_sparse(pax, &mut entry)?;
        }
        for (key, value) in std::mem::take(pax) {
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                entry.xattrs.push((name.to_vec(), value));
            }
        }
        Ok(Some(entry))
    }

    /// GNU's old form: a map of parts in the header, continued in blocks after it.
    fn gnu_sparse(&mut self, header: &Header, entry: &mut Entry) -> Result<(), TarError> {
        let bad = |_| TarError::Malformed("a sparse map");
        let gnu = header.as_gnu().ok_or(TarError::Malformed("a sparse file outside GNU format"))?;
        let mut parts = Vec::new();
        let mut take = |all: &[tar::GnuSparseHeader]| -> Result<(), TarError> {
            for part in all.iter().filter(|part| !part.is_empty()) {
                parts.push((part.offset().map_err(bad)?, part.length().map_err(bad)?));
            }
            if parts.len() > MOST_SPARSE_PARTS {
                return Err(TarError::Malformed("a sparse map of too many parts"));
            }
            Ok(())
        };
        take(&gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let mut next = tar::GnuExtSparseHeader::new();
            if !self.block(next.as_mut_bytes())? {
                return Err(TarError::Short);
            }
            take(next.sparse())?;
            more = next.is_extended();
        }
        entry.size = gnu.real_size().map_err(bad)?;
        entry.sparse = Some(parts);
        check_sparse(entry)
    }

    /// GNU's pax forms 0.1 (the map in a header) and 1.0 (the map before the data).
    fn pax_sparse(
        &mut self,
        pax: &mut BTreeMap<Vec<u8>, Vec<u8>>,
        entry: &mut Entry,
    ) -> Result<(), TarError> {
        let bad = TarError::Malformed("a sparse map");
        let mut take = |key: &str| pax.remove(format!("GNU.sparse.{key}").as_bytes());
        let (major, map, name) = (take("major"), take("map"), take("name"));
        let size = take("realsize").or(take("size"));
        if major.is_none() && map.is_none() {
            return match take("numblocks") {
                Some(_) => Err(TarError::Malformed("sparse format 0.0 is not supported")),
                None => Ok(()),
            };
        }
        let Some(size) = size.as_deref().and_then(decimal) else { return Err(bad) };
        entry.size = size;
        entry.path = name.unwrap_or_else(|| std::mem::take(&mut entry.path));
        let numbers: Option<Vec<u64>> = match map {
            Some(map) if map.is_empty() => Some(Vec::new()),
            Some(map) => map.split(|b| *b == b',').map(decimal).collect(),
            None => Some(self.sparse_prefix()?),
        };
        let Some(numbers) = numbers.filter(|n| n.len() % 2 == 0) else { return Err(bad) };
        if numbers.len() > 2 * MOST_SPARSE_PARTS {
            return Err(TarError::Malformed("a sparse map of too many parts"));
        }
        entry.sparse = Some(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect());
        entry.stored = self.left;
        check_sparse(entry)
    }

    /// Format 1.0: decimal lines, the first their count of pairs, filled up to whole blocks.
    fn sparse_prefix(&mut self) -> Result<Vec<u64>, TarError> {
        let (mut numbers, mut line, mut count) = (Vec::new(), Vec::new(), None);
        let mut block = [0; BLOCK];
        loop {
            self.read_exact(&mut block)?;
            for byte in block {
                if byte != b'\n' {
                    line.push(byte);
                    if line.len() > 20 {
                        return Err(TarError::Malformed("a sparse map"));
                    }
                    continue;
                }
                let number = decimal(&line).ok_or(TarError::Malformed("a sparse map"))?;
                line.clear();
                match count {
                    None if number > MOST_SPARSE_PARTS as u64 => {
                        return Err(TarError::Malformed("a sparse map of too many parts"));
                    }
                    None => count = Some(2 * number as usize),
                    Some(_) => numbers.push(number),
                }
                if count == Some(numbers.len()) {
                    return Ok(numbers);
                }
            }
        }
    }
}

impl<R: Read> Read for TarStream<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        if most == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut into[..most])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// Parts stand in order, within the file, and are as long together as what is stored.
fn check_sparse(entry: &Entry) -> Result<(), TarError> {
    let (mut end, mut sum) = (0u64, 0u64);
    for (offset, length) in entry.sparse.iter().flatten() {
        let next = offset.checked_add(*length).filter(|n| *offset >= end && *n <= entry.size);
        end = next.ok_or(TarError::Malformed("a sparse map"))?;
        sum += length;
    }
    let padded = sum.next_multiple_of(BLOCK as u64);
    if sum > entry.stored || entry.stored > padded {
        return Err(TarError::Malformed("a sparse map that is not its data's"));
    }
    Ok(())
}

/// Records are `length key=value\n`; the length counts itself.
fn parse_pax(bytes: &[u8], into: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), TarError> {
    let bad = || TarError::Malformed("a pax header");
    let mut rest = bytes;
    while !rest.is_empty() && rest[0] != 0 {
        let space = rest.iter().position(|b| *b == b' ').ok_or_else(bad)?;
        let length = decimal(&rest[..space]).and_then(|n| usize::try_from(n).ok());
        let length = length.filter(|n| *n > space + 1 && *n <= rest.len()).ok_or_else(bad)?;
        let record = rest[space + 1..length].strip_suffix(b"\n").ok_or_else(bad)?;
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(bad)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if value.is_empty() {
            into.remove(key);
        } else {
            into.insert(key.to_vec(), value.to_vec());
        }
        rest = &rest[length..];
    }
    Ok(())
}

/// A number of the header. One that is blank is zero, which many tools write for what does not apply.
fn field<T: Default>(bytes: &[u8], read: io::Result<T>, what: &'static str) -> Result<T, TarError> {
    if bytes.iter().all(|b| matches!(b, 0 | b' ')) {
        return Ok(T::default());
    }
    read.map_err(|_| TarError::Malformed(what))
}

fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Seconds with a fraction, possibly before 1970; nanoseconds are what we keep of it.
fn seconds(bytes: &[u8]) -> Option<(i64, u32)> {
    let (negative, bytes) = match bytes.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, bytes),
    };
    let dot = bytes.iter().position(|b| *b == b'.').unwrap_or(bytes.len());
    let whole = i64::try_from(decimal(&bytes[..dot])?).ok()?;
    let mut nanos = 0;
    if let Some(fraction) = bytes.get(dot + 1..) {
        if !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        for place in 0..9 {
            nanos = nanos * 10 + u32::from(fraction.get(place).map_or(0, |b| b - b'0'));
        }
    }
    Some(match (negative, nanos) {
        (false, _) => (whole, nanos),
        (true, 0) => (-whole, 0),
        (true, _) => (-whole - 1, 1_000_000_000 - nanos),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walk(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
        let mut stream = TarStream::new(bytes);
        let mut all = Vec::new();
        while let Some(entry) = stream.next()? {
            let mut data = Vec::new();
            stream.read_to_end(&mut data)?;
            all.push((entry, data));
        }
        Ok(all)
    }

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, data) in entries {
            let mut header = Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(0o4755);
            header.set_uid(7);
            header.set_mtime(99);
            builder.append_data(&mut header, path, *data).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn long_names_data_and_modes_come_through() {
        let long = format!("{}/f", "d".repeat(200));
        let all = walk(&archive(&[(&long, b"abc"), ("b", &[7; 1000])])).unwrap();
        assert_eq!(all[0].0.path, long.as_bytes());
        assert_eq!((all[0].0.mode, all[0].0.uid, all[0].0.mtime), (0o4755, 7, (99, 0)));
        assert_eq!(all[0].1, b"abc");
        assert_eq!(all[1].1, [7; 1000]);
    }

    #[test]
    fn the_last_block_need_not_be_filled_but_data_must_be_whole() {
        let bytes = archive(&[("a", b"abc")]);
        assert_eq!(walk(&bytes[..515]).unwrap()[0].1, b"abc");
        assert!(matches!(walk(&bytes[..514]), Err(TarError::Short)));
    }

    #[test]
    fn times_have_fractions_and_signs() {
        assert_eq!(seconds(b"1.5"), Some((1, 500_000_000)));
        assert_eq!(seconds(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(seconds(b"12"), Some((12, 0)));
        assert_eq!(seconds(b"1.x"), None);
    }

    #[test]
    fn an_extension_of_gigabytes_is_not_read() {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::XHeader);
        header.set_path("x").unwrap();
        header.set_size(8 << 30);
        header.set_cksum();
        let endless = std::io::Read::chain(&header.as_bytes()[..], io::repeat(0));
        let refused = TarStream::new(endless).next();
        assert!(matches!(refused, Err(TarError::Extension(_))), "{refused:?}");
    }

    #[test]
    fn pax_sparse_1_0_has_its_map_before_the_data() {
        let mut builder = tar::Builder::new(Vec::new());
        let pax: [(&str, &[u8]); 4] = [
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"real"),
            ("GNU.sparse.realsize", b"8195"),
        ];
        builder.append_pax_extensions(pax).unwrap();
        let mut data = b"2\n0\n2\n8192\n3\n".to_vec();
        data.resize(512, 0);
        data.extend(b"abcde");
        let mut header = Header::new_ustar();
        header.set_size(data.len() as u64);
        builder.append_data(&mut header, "GNUSparseFile.0/real", &data[..]).unwrap();
        let all = walk(&builder.into_inner().unwrap()).unwrap();
        assert_eq!(all[0].0.path, b"real");
        assert_eq!(all[0].0.size, 8195);
        assert_eq!(all[0].0.sparse.as_deref(), Some(&[(0, 2), (8192, 3)][..]));
        assert_eq!(all[0].1, b"abcde");
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = walk(&bytes).is_ok();
        }

        #[test]
        fn a_bent_archive_ends(at in any::<usize>(), with in any::<u8>(), cut in any::<usize>()) {
            let mut bytes = archive(&[(&"n".repeat(150), b"data"), ("x", &[1; 600])]);
            let at = at % bytes.len();
            bytes[at] = with;
            bytes.truncate(cut % (bytes.len() + 1));
            let _ = walk(&bytes).is_ok();
        }

        #[test]
        fn pax_records_are_read_or_refused(bytes in "[0-9]{1,2} [a-z=\n]{0,30}") {
            let _ = parse_pax(bytes.as_bytes(), &mut BTreeMap::new()).is_ok();
        }
    }
}
