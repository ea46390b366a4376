//! Bytes to terms.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::{ATOM_CHARS_MAX, NESTING_MAX, TERM_BYTES_MAX, Term, TermError, tag};

impl Term {
    /// Reads the external format: plain terms of 64 KiB at most, inflated or not.
    ///
    /// Nothing is allocated from a length that the bytes only claim to have.
    pub(in crate::token) fn decode(bytes: &[u8]) -> Result<Self, TermError> {
        let Some((&tag::VERSION, term)) = bytes.split_first() else {
            return Err("a term begins with 131".into());
        };
        match term.split_first() {
            Some((&tag::COMPRESSED, compressed)) => whole(&inflated(compressed)?),
            _ => whole(term),
        }
    }
}

/// A term and nothing behind it.
fn whole(bytes: &[u8]) -> Result<Term, TermError> {
    if bytes.len() > TERM_BYTES_MAX {
        return Err("the term has more than 65,536 bytes".into());
    }
    let mut reader = Reader { rest: bytes };
    let term = reader.term(0)?;
    if !reader.rest.is_empty() {
        return Err("there are bytes behind the term".into());
    }
    Ok(term)
}

/// The size, and that many bytes in zlib's format.
fn inflated(compressed: &[u8]) -> Result<Vec<u8>, TermError> {
    let mut reader = Reader { rest: compressed };
    let size = reader.length()?;
    if size > TERM_BYTES_MAX {
        return Err("the inflated term has more than 65,536 bytes".into());
    }
    let mut inflated = Vec::new();
    let read = ZlibDecoder::new(reader.rest)
        .take(size as u64 + 1)
        .read_to_end(&mut inflated);
    if read.is_err() || inflated.len() != size {
        return Err("the compressed term doesn't inflate to its size".into());
    }
    Ok(inflated)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn term(&mut self, depth: usize) -> Result<Term, TermError> {
        if depth > NESTING_MAX {
            return Err("the term nests more than 64 deep".into());
        }
        let [tag] = self.array()?;
        Ok(match tag {
            tag::SMALL_INTEGER => {
                let [byte] = self.array()?;
                Term::Integer(byte.into())
            }
            tag::INTEGER => Term::Integer(i32::from_be_bytes(self.array()?).into()),
            tag::SMALL_BIG => {
                let digits = self.short_length()?;
                self.big(digits)?
            }
            tag::LARGE_BIG => {
                let digits = self.length()?;
                self.big(digits)?
            }
            tag::NEW_FLOAT => match f64::from_be_bytes(self.array()?) {
                float if float.is_finite() => Term::Float(float),
                _ => return Err("a float is infinite or not a number".into()),
            },
            tag::ATOM | tag::ATOM_UTF8 => {
                let length = u16::from_be_bytes(self.array()?).into();
                self.atom(length, tag == tag::ATOM_UTF8)?
            }
            tag::SMALL_ATOM | tag::SMALL_ATOM_UTF8 => {
                let length = self.short_length()?;
                self.atom(length, tag == tag::SMALL_ATOM_UTF8)?
            }
            tag::BINARY => {
                let length = self.length()?;
                Term::Binary(self.take(length)?.to_vec())
            }
            tag::NIL => Term::List(Vec::new()),
            tag::STRING => {
                let length = u16::from_be_bytes(self.array()?).into();
                let bytes = self.take(length)?.iter();
                Term::List(bytes.map(|&it| Term::Integer(it.into())).collect())
            }
            tag::LIST => {
                let length = self.length()?;
                let items = self.terms(length, depth)?;
                let [tag::NIL] = self.array()? else {
                    return Err("a list is improper".into());
                };
                Term::List(items)
            }
            tag::SMALL_TUPLE => {
                let arity = self.short_length()?;
                Term::Tuple(self.terms(arity, depth)?)
            }
            tag::LARGE_TUPLE => {
                let arity = self.length()?;
                Term::Tuple(self.terms(arity, depth)?)
            }
            tag::MAP => {
                let entries =
                    (0..self.length()?).map(|_| Ok((self.term(depth + 1)?, self.term(depth + 1)?)));
                Term::Map(entries.collect::<Result<_, TermError>>()?)
            }
            _ => {
                return Err(TermError(
                    format!("terms with tag {tag} aren't taken").into(),
                ));
            }
        })
    }

    fn terms(&mut self, count: usize, depth: usize) -> Result<Vec<Term>, TermError> {
        (0..count).map(|_| self.term(depth + 1)).collect()
    }

    /// Sign and magnitude, the lowest byte first.
    fn big(&mut self, digits: usize) -> Result<Term, TermError> {
        let [sign] = self.array()?;
        let mut magnitude = [0; 16];
        let bytes = self.take(digits)?;
        match magnitude.get_mut(..digits) {
            Some(low) => low.copy_from_slice(bytes),
            None => return Err("an integer has more than 128 bits".into()),
        }
        let magnitude = u128::from_le_bytes(magnitude);
        let integer = match sign {
            0 => i128::try_from(magnitude).ok(),
            _ => 0_i128.checked_sub_unsigned(magnitude),
        };
        integer
            .map(Term::Integer)
            .ok_or_else(|| "an integer has more than 128 bits".into())
    }

    fn atom(&mut self, length: usize, is_utf8: bool) -> Result<Term, TermError> {
        let bytes = self.take(length)?;
        let name = if is_utf8 {
            String::from_utf8(bytes.to_vec()).map_err(|_| "an atom isn't in UTF-8")?
        } else {
            bytes.iter().map(|&it| char::from(it)).collect()
        };
        if name.chars().count() > ATOM_CHARS_MAX {
            return Err("an atom has more than 255 characters".into());
        }
        Ok(Term::Atom(name))
    }

    fn short_length(&mut self) -> Result<usize, TermError> {
        let [length] = self.array()?;
        Ok(length.into())
    }

    fn length(&mut self) -> Result<usize, TermError> {
        Ok(u32::from_be_bytes(self.array()?) as usize)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TermError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(ENDS)?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], TermError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ENDS)?;
        self.rest = rest;
        Ok(taken)
    }
}

const ENDS: &str = "the term ends too early";
