//! Masking (RFC 6455 section 5.3).

/// XORs `payload` with `mask`, in place. The loop over eight bytes at a time is one that the compiler vectorises.
pub(crate) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= mask;
    }
}

/// The mask for the bytes that follow the first `len` of a payload.
pub(crate) fn advance(mut mask: [u8; 4], len: usize) -> [u8; 4] {
    mask.rotate_left(len % 4);
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_in_any_two_pieces_equals_byte_by_byte() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for len in 0..70_u8 {
            let masked: Vec<u8> = (0..len).collect();
            let expected: Vec<u8> = masked
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask)
                .collect();
            for cut in 0..=masked.len() {
                let mut payload = masked.clone();
                let (first, second) = payload.split_at_mut(cut);
                unmask(first, mask);
                unmask(second, advance(mask, cut));
                assert_eq!(payload, expected, "{len} bytes cut at {cut}");
            }
        }
    }
}
