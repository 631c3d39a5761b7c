//! Inputs made from seeds by small damage: reproducible from a number, and blind to coverage.

/// What the readers under test look for; a mutation that hits one gets further in.
const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u0077",
    b"\\ud83d\\ude00",
    b"\\udc00",
    b"\"a\":1,",
    b"null",
    b"-",
    b"0",
    b"1e5",
    b".",
    b" ",
    b"\n",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    "中😀".as_bytes(),
    b"watermark",
    b"\"appid\"",
    b"\"timestamp\"",
    b"\"watermark\":{\"appid\":\"wx4f4bc4dec97d474b\",\"timestamp\":1477314187}",
    b"yq_",
    b"+",
    b"%",
    b"=",
    b"\r\n",
    b"\r\n\r\n",
    b"--",
    b"--------------------------f4102f088a7c80ecb5c8b257",
    b"; name=\"",
    b"Content-Type: a/b\r\n",
    b"\"action\"",
    b"SignedParams=",
    b"\x0a\x02",
    b"<xml>",
    b"</xml>",
    b"<a>",
    b"</a>",
    b"<a/>",
    b"<![CDATA[",
    b"]]>",
    b"<!DOCTYPE a [",
    b"<!--",
    b"&amp;",
    b"&#13;",
    b"<Event>subscribe_msg_popup_event</Event>",
    b"<SubscribeMsgPopupEvent>",
    b"</SubscribeMsgPopupEvent>",
    b"\"Encrypt\":",
    b"\"$numberLong\":\"9007199254740993\"",
    b"{\"$date\":",
    b"\"$in\":[",
    b"\"$elemMatch\":{",
    b"\"$or\":[{",
    b"{\"$gte\":null}",
    b"\"a.b\":",
    b"[]",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
];

/// An endless row of inputs.
#[derive(Debug)]
pub struct Mutator {
    seeds: Vec<Vec<u8>>,
    state: u64,
}

impl Mutator {
    /// From these seeds; the same number gives the same row.
    #[must_use]
    pub fn new(seeds: Vec<Vec<u8>>, number: u64) -> Self {
        // xorshift stands still at zero.
        Self {
            seeds,
            state: number | 1,
        }
    }

    /// A seed with some damage, at most 64 KB.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        for _ in 0..=self.below(5) {
            self.damage(&mut input);
        }
        input.truncate(64 * 1024);
        input
    }

    fn damage(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(12)).min(input.len());
        match self.below(7) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = self.below(256) as u8,
            2 => drop(input.drain(at..end)),
            3 => {
                let copy = input[at..end].to_vec();
                let times = 1 + self.below(80);
                input.splice(at..at, copy.repeat(times));
            }
            4 => {
                let other = self.seed();
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let token = TOKENS[self.below(TOKENS.len())];
                input.splice(at..end, token.iter().copied());
            }
        }
    }

    fn seed(&mut self) -> Vec<u8> {
        if self.seeds.is_empty() {
            return Vec::new();
        }
        let at = self.below(self.seeds.len());
        self.seeds[at].clone()
    }

    /// Evenly enough below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 16) as usize % bound.max(1)
    }
}
