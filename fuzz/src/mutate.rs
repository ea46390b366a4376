//! Inputs made from others, where no coverage guides.

/// Makes inputs from those of a corpus, the same ones for the same seed.
#[derive(Debug)]
pub struct Mutator {
    seeds: Vec<Vec<u8>>,
    state: u64,
}

/// The longest input made.
const INPUT_BYTES_MAX: usize = 4096;

/// What decoders look for.
const WORDS: &[&[u8]] = &[
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\x00\x00",
    b"\xff\xff",
    b"null",
    b"phx_join",
    b"phx_leave",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\"",
    b",",
    b"\\u0000",
    b"\\ud800",
    b"\n",
    b"\r\n",
    b"AAAA",
    b"=",
    b".",
    b"1e999",
    b"-0",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
];

impl Mutator {
    /// Begins with the inputs of a corpus.
    #[must_use]
    pub const fn new(seeds: Vec<Vec<u8>>, seed: u64) -> Self {
        Self {
            seeds,
            state: seed ^ 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// The next input.
    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        for _ in 0..=self.below(4) {
            self.change(&mut input);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn seed(&mut self) -> Vec<u8> {
        let at = self.below(self.seeds.len());
        self.seeds.get(at).cloned().unwrap_or_default()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        match self.below(8) {
            0 => input.truncate(at),
            1 => {
                let byte = self.random() as u8;
                input.insert(at, byte);
            }
            2 => {
                let bit = 1 << self.below(8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= bit;
                }
            }
            3 => {
                let new = self.random() as u8;
                if let Some(byte) = input.get_mut(at) {
                    *byte = new;
                }
            }
            4 => {
                let word = WORDS
                    .get(self.below(WORDS.len()))
                    .copied()
                    .unwrap_or_default();
                input.splice(at..at, word.iter().copied());
            }
            5 => {
                let end = (at + self.below(16)).min(input.len());
                input.drain(at..end);
            }
            6 => {
                let end = (at + self.below(64)).min(input.len());
                let copy = input.get(at..end).unwrap_or_default().to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, copy);
            }
            _ => {
                let other = self.seed();
                let from = self.below(other.len() + 1);
                let tail = other.get(from..).unwrap_or_default();
                input.truncate(at);
                input.extend_from_slice(tail);
            }
        }
    }

    fn below(&mut self, end: usize) -> usize {
        (self.random() % end.max(1) as u64) as usize
    }

    /// SplitMix64 (Steele, Lea, Flood).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
