//! Terms to bytes, each in the form that Erlang's `term_to_binary` chooses.

use super::{ATOM_CHARS_MAX, NESTING_MAX, TERM_BYTES_MAX, Term, TermError, tag};

impl Term {
    /// The external format. Fails for what [`decode`](Self::decode) wouldn't take, and for infinite floats.
    pub(in crate::token) fn encode(&self) -> Result<Vec<u8>, TermError> {
        let mut out = vec![tag::VERSION];
        self.put(&mut out, 0)?;
        if out.len() > TERM_BYTES_MAX {
            return Err("the term has more than 65,536 bytes".into());
        }
        Ok(out)
    }

    fn put(&self, out: &mut Vec<u8>, depth: usize) -> Result<(), TermError> {
        if depth > NESTING_MAX {
            return Err("the term nests more than 64 deep".into());
        }
        match self {
            Self::Atom(name) => return put_atom(out, name),
            Self::Integer(integer) => put_integer(out, *integer),
            Self::Float(float) if !float.is_finite() => {
                return Err("Erlang has no float that is infinite or not a number".into());
            }
            Self::Float(float) => {
                out.push(tag::NEW_FLOAT);
                out.extend(float.to_be_bytes());
            }
            Self::Binary(bytes) => {
                out.push(tag::BINARY);
                out.extend(length(bytes.len())?);
                out.extend(bytes);
            }
            Self::List(items) => return put_list(out, items, depth),
            Self::Tuple(items) => {
                match u8::try_from(items.len()) {
                    Ok(arity) => out.extend([tag::SMALL_TUPLE, arity]),
                    Err(_) => {
                        out.push(tag::LARGE_TUPLE);
                        out.extend(length(items.len())?);
                    }
                }
                for item in items {
                    item.put(out, depth + 1)?;
                }
            }
            Self::Map(entries) => {
                out.push(tag::MAP);
                out.extend(length(entries.len())?);
                for (key, value) in entries {
                    key.put(out, depth + 1)?;
                    value.put(out, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn as_byte(&self) -> Option<u8> {
        match self {
            Self::Integer(integer) => u8::try_from(*integer).ok(),
            _ => None,
        }
    }
}

fn put_atom(out: &mut Vec<u8>, name: &str) -> Result<(), TermError> {
    if name.chars().count() > ATOM_CHARS_MAX {
        return Err("an atom has more than 255 characters".into());
    }
    match (u8::try_from(name.len()), u16::try_from(name.len())) {
        (Ok(length), _) => out.extend([tag::SMALL_ATOM_UTF8, length]),
        (_, Ok(length)) => {
            out.push(tag::ATOM_UTF8);
            out.extend(length.to_be_bytes());
        }
        _ => return Err("an atom has more than 65,535 bytes".into()),
    }
    out.extend(name.as_bytes());
    Ok(())
}

fn put_integer(out: &mut Vec<u8>, integer: i128) {
    if let Ok(byte) = u8::try_from(integer) {
        out.extend([tag::SMALL_INTEGER, byte]);
    } else if let Ok(small) = i32::try_from(integer) {
        out.push(tag::INTEGER);
        out.extend(small.to_be_bytes());
    } else {
        // Sign and magnitude, the lowest byte first.
        let magnitude = integer.unsigned_abs().to_le_bytes();
        let zeros = integer.unsigned_abs().leading_zeros() as usize / 8;
        let digits = magnitude.len() - zeros;
        out.extend([
            tag::SMALL_BIG,
            digits as u8,
            u8::from(integer.is_negative()),
        ]);
        out.extend(magnitude.iter().take(digits));
    }
}

/// A list whose items are all bytes has a shorter form, up to 65,535 of them.
pub(super) fn put_list(out: &mut Vec<u8>, items: &[Term], depth: usize) -> Result<(), TermError> {
    if items.is_empty() {
        out.push(tag::NIL);
        return Ok(());
    }
    let bytes = items.iter().map(Term::as_byte).collect::<Option<Vec<_>>>();
    if let (Some(bytes), Ok(length)) = (bytes, u16::try_from(items.len())) {
        out.push(tag::STRING);
        out.extend(length.to_be_bytes());
        out.extend(bytes);
        return Ok(());
    }
    out.push(tag::LIST);
    out.extend(length(items.len())?);
    for item in items {
        item.put(out, depth + 1)?;
    }
    out.push(tag::NIL);
    Ok(())
}

fn length(length: usize) -> Result<[u8; 4], TermError> {
    match u32::try_from(length) {
        Ok(length) => Ok(length.to_be_bytes()),
        Err(_) => Err("a part of the term has more than 4 GiB".into()),
    }
}
