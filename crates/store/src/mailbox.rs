//! Message pushes that were taken in: each is kept until it is dealt with, and known again for a while after that.
//!
//! A push is *open* from the moment it is taken until a function has dealt with it or an operator dismisses it. It stands
//! in a *lane*, which is that of its sender: of each lane only the first push is worked on, so that a sender's pushes are
//! dealt with in the order in which they were taken. Several nodes may share a store. A node that begins an attempt takes
//! the lane for a time (the *lease*) and renews it while the attempt runs; if the node dies, the lease ends, and another
//! node begins the next attempt. From then on the earlier attempt cannot be ended any more: its number is out of date. So
//! no push runs twice at once, as long as the nodes' clocks agree to within a part of the lease.
//!
//! A push that is given up is a *dead letter*: it stands in no lane, and is kept for the operator to look at and send
//! through again. Of one that is done, only its key and its answer are left, for WeChat's duplicates. What a packet means,
//! and when it is given up, is the caller's to know. All times are machine time and handed in.

use std::time::{Duration, SystemTime};

use crate::{BoxFuture, StoreError};

/// A push that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPush {
    /// Its number: larger than that of each push that was taken before.
    pub id: u64,
    /// Its place in its lane: its number, or a later one if it was revived.
    pub turn: u64,
    /// Whose pushes are dealt with one after another.
    pub lane: String,
    /// By what it is known again.
    pub key: String,
    /// The packet.
    pub packet: String,
    /// When it was taken.
    pub taken_at: SystemTime,
    /// How many attempts were begun, ever.
    pub attempts: u32,
    /// How many of them before it was last revived afresh.
    pub earlier: u32,
    /// How many failed since. One that was begun and neither failed nor ended well was cut off, with its node.
    pub failures: u32,
    /// What is being done about it.
    pub state: PushState,
}

/// What is being done about an open push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushState {
    /// It waits for its next attempt.
    Waiting {
        /// Nobody needs to begin it before; a duplicate of it is a reason to begin at once.
        due: SystemTime,
    },
    /// An attempt runs.
    Running(Lease),
    /// It was given up.
    Dead(Death),
}

/// Who works on a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The node.
    pub owner: Owner,
    /// Until when nobody else may, unless it is renewed.
    pub until: SystemTime,
}

/// The end of the attempts for a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// How the last attempt failed.
    pub error: String,
    /// When.
    pub at: SystemTime,
}

/// A node that works on pushes: a name that no other node has, and none had before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner(String);

impl Owner {
    /// A node of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A push that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival<'a> {
    /// Whose pushes are dealt with one after another.
    pub lane: &'a str,
    /// By what it is known again.
    pub key: &'a str,
    /// The packet.
    pub packet: &'a str,
}

/// What came of taking a push in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intake {
    /// It is new, and has this number.
    New(u64),
    /// It came before.
    Known(KnownPush),
}

/// What became of a push that came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownPush {
    /// It is open.
    Open(Box<StoredPush>),
    /// It was dealt with.
    Done {
        /// With this answer, if with one.
        answer: Option<String>,
    },
}

/// An attempt that was begun. Only the last one of a push can be renewed and ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The push.
    pub push: u64,
    /// Which attempt it is, from 1.
    pub number: u32,
    /// Whose it is.
    pub owner: Owner,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Well: the push is dealt with.
    Done {
        /// What duplicates of it are answered, if anything.
        answer: Option<String>,
    },
    /// Badly; there will be another one.
    Failed {
        /// When.
        due: SystemTime,
    },
    /// Without having been made: the push waits as before, and this attempt is not one that failed.
    Deferred {
        /// Until then.
        due: SystemTime,
    },
    /// Badly, and it was the last one: the push is a dead letter.
    Dead {
        /// What was wrong.
        error: String,
    },
}

/// Which dead letters are asked for: the newest first, those with the largest numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageBounds {
    /// Only those with a smaller number.
    pub before: Option<u64>,
    /// At most so many.
    pub most: usize,
    /// At most so many bytes of packets and errors, and one letter in any case.
    pub most_bytes: u64,
}

/// Some of the dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadPage {
    /// The newest first.
    pub letters: Vec<StoredPush>,
    /// Whether there are older ones.
    pub more: bool,
    /// How many there are in all.
    pub total: u64,
    /// Bytes of all their packets and errors.
    pub bytes: u64,
}

/// How many dead letters are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadBounds {
    /// Those that died before are dropped.
    pub died_before: SystemTime,
    /// At most so many are kept; the oldest go first.
    pub most: u64,
    /// At most so many bytes of packets and errors are kept; the oldest go first.
    pub most_bytes: u64,
}

/// Dead letters that were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DroppedLetters {
    /// Because they were too old.
    pub old: u64,
    /// Because there were too many, or too much of them.
    pub crowded_out: u64,
}

/// What the bounds of dead letters look at. For backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterSize {
    /// The push.
    pub id: u64,
    /// Bytes of its packet and error.
    pub bytes: u64,
    /// When it died.
    pub died_at: SystemTime,
}

impl LetterSize {
    /// That of a push, if it is dead.
    #[must_use]
    pub fn of(push: &StoredPush) -> Option<Self> {
        let death = push.death()?;
        Some(Self {
            id: push.id,
            bytes: (push.packet.len() + death.error.len()) as u64,
            died_at: death.at,
        })
    }
}

impl PageBounds {
    /// Which of all the letters, which come newest first, are on the page; and the page, without them. For backends.
    #[must_use]
    pub fn pick(self, letters: impl Iterator<Item = LetterSize>) -> (Vec<u64>, DeadPage) {
        let (mut page, mut picked, mut bytes) = (DeadPage::default(), Vec::new(), 0);
        for letter in letters {
            page.total += 1;
            page.bytes += letter.bytes;
            if page.more || self.before.is_some_and(|before| letter.id >= before) {
                continue;
            }
            bytes += letter.bytes;
            let is_full = picked.len() >= self.most || bytes > self.most_bytes;
            if is_full && !picked.is_empty() {
                page.more = true;
            } else {
                picked.push(letter.id);
            }
        }
        (picked, page)
    }
}

impl DeadBounds {
    /// Which of all the letters, which come newest first, are to be dropped. For backends.
    #[must_use]
    pub fn judge(self, letters: impl Iterator<Item = LetterSize>) -> (Vec<u64>, DroppedLetters) {
        let (mut going, mut dropped) = (Vec::new(), DroppedLetters::default());
        let (mut kept, mut bytes) = (0, 0);
        for letter in letters {
            if letter.died_at < self.died_before {
                dropped.old += 1;
            } else if kept >= self.most || bytes + letter.bytes > self.most_bytes {
                // Whatever is older goes as well, however small it is.
                bytes = self.most_bytes;
                kept = self.most;
                dropped.crowded_out += 1;
            } else {
                kept += 1;
                bytes += letter.bytes;
                continue;
            }
            going.push(letter.id);
        }
        (going, dropped)
    }
}

/// Where pushes are kept. A change is kept for good when its future has answered `Ok`.
pub trait Mailbox: Send + Sync {
    /// Takes a push in at the end of its lane, unless one of its key is known. Those taken through one handle are numbered
    /// in the order of these calls.
    fn take_push<'a>(
        &'a self,
        arrival: Arrival<'a>,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Intake, StoreError>>;

    /// What became of the push of a key, if it is known.
    fn find_push<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KnownPush>, StoreError>>;

    /// The first push of a lane, whatever its state.
    fn first_push<'a>(&'a self, lane: &'a str) -> BoxFuture<'a, Result<Option<StoredPush>, StoreError>>;

    /// Begins an attempt for a push, and takes its lane until `now + term`. `None` if the push is not the first of its lane
    /// or not open, or if its lane is taken. Whether it is due is not looked at.
    fn begin_push<'a>(
        &'a self,
        id: u64,
        owner: &'a Owner,
        now: SystemTime,
        term: Duration,
    ) -> BoxFuture<'a, Result<Option<Attempt>, StoreError>>;

    /// Keeps an attempt's lane until `now + term`. `false` if it is lost: the push is not open any more, or another attempt
    /// has begun.
    fn renew_push<'a>(
        &'a self,
        attempt: &'a Attempt,
        now: SystemTime,
        term: Duration,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Notes how an attempt ended, and gives its lane back. `false`, and nothing is noted, if the lane is lost as with
    /// [`renew_push`](Self::renew_push).
    fn end_push<'a>(
        &'a self,
        attempt: &'a Attempt,
        ended: Ended,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Puts a dead letter at the end of its lane, and answers with it; `None` if there is no such dead letter. `afresh` gives
    /// it as many attempts as a new one has.
    fn revive_push(
        &self,
        id: u64,
        afresh: bool,
        now: SystemTime,
    ) -> BoxFuture<'_, Result<Option<StoredPush>, StoreError>>;

    /// Drops a dead letter; its duplicates count as dealt with. Answers whether there was one.
    fn dismiss_push(&self, id: u64, now: SystemTime) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Lanes, at most so many, whose first push is due and which nobody has taken.
    fn free_lanes(&self, now: SystemTime, most: usize) -> BoxFuture<'_, Result<Vec<String>, StoreError>>;

    /// A page of the dead letters.
    fn dead_pushes(&self, page: PageBounds) -> BoxFuture<'_, Result<DeadPage, StoreError>>;

    /// Drops dead letters that are beyond the bounds: duplicates of them are new again.
    fn drop_dead_pushes(&self, bounds: DeadBounds) -> BoxFuture<'_, Result<DroppedLetters, StoreError>>;

    /// Forgets pushes that were dealt with before `done_before`: duplicates of them are new from then on. Answers how many.
    fn forget_pushes(&self, done_before: SystemTime) -> BoxFuture<'_, Result<usize, StoreError>>;
}

/// What happens to a push, for backends.
impl StoredPush {
    /// One that comes in with this number.
    #[must_use]
    pub fn new(id: u64, arrival: Arrival<'_>, now: SystemTime) -> Self {
        Self {
            id,
            turn: id,
            lane: arrival.lane.to_owned(),
            key: arrival.key.to_owned(),
            packet: arrival.packet.to_owned(),
            taken_at: now,
            attempts: 0,
            earlier: 0,
            failures: 0,
            state: PushState::Waiting { due: now },
        }
    }

    /// Why it is a dead letter, if it is one.
    #[must_use]
    pub fn death(&self) -> Option<&Death> {
        match &self.state {
            PushState::Dead(death) => Some(death),
            PushState::Waiting { .. } | PushState::Running(_) => None,
        }
    }

    /// Who works on it at `now`, if anybody does.
    #[must_use]
    pub fn lease(&self, now: SystemTime) -> Option<&Lease> {
        match &self.state {
            PushState::Running(lease) if lease.until > now => Some(lease),
            _ => None,
        }
    }

    /// Whether an attempt for it is to be begun at `now`, if it is the first of its lane.
    #[must_use]
    pub fn is_due(&self, now: SystemTime) -> bool {
        match &self.state {
            PushState::Waiting { due } => *due <= now,
            PushState::Running(lease) => lease.until <= now,
            PushState::Dead(_) => false,
        }
    }

    /// Begins an attempt, unless one runs or it is dead.
    pub fn begin(&mut self, owner: &Owner, now: SystemTime, term: Duration) -> Option<Attempt> {
        if self.death().is_some() || self.lease(now).is_some() {
            return None;
        }
        self.attempts = self.attempts.saturating_add(1);
        self.state = PushState::Running(Lease {
            owner: owner.clone(),
            until: now + term,
        });
        Some(Attempt {
            push: self.id,
            number: self.attempts,
            owner: owner.clone(),
        })
    }

    /// The lease of an attempt, unless it is lost.
    fn lease_of(&mut self, attempt: &Attempt) -> Option<&mut Lease> {
        match &mut self.state {
            PushState::Running(lease) if self.attempts == attempt.number && lease.owner == attempt.owner => {
                Some(lease)
            }
            _ => None,
        }
    }

    /// Keeps an attempt's lease for longer, unless it is lost.
    pub fn renew(&mut self, attempt: &Attempt, now: SystemTime, term: Duration) -> bool {
        let lease = self.lease_of(attempt);
        lease.map(|lease| lease.until = now + term).is_some()
    }

    /// Notes how an attempt ended, unless its lane is lost.
    pub fn end(&mut self, attempt: &Attempt, ended: Ended, now: SystemTime) -> AttemptEnd {
        if self.lease_of(attempt).is_none() {
            return AttemptEnd::Lost;
        }
        self.state = match ended {
            Ended::Done { answer } => return AttemptEnd::Done { answer },
            Ended::Deferred { due } => PushState::Waiting { due },
            Ended::Failed { due } => {
                self.failures = self.failures.saturating_add(1);
                PushState::Waiting { due }
            }
            Ended::Dead { error } => {
                self.failures = self.failures.saturating_add(1);
                PushState::Dead(Death { error, at: now })
            }
        };
        AttemptEnd::Open
    }

    /// Makes a dead letter wait again, with this turn; `afresh` with as many attempts ahead as a new one. Answers whether
    /// it was one.
    pub fn revive(&mut self, turn: u64, afresh: bool, now: SystemTime) -> bool {
        if self.death().is_none() {
            return false;
        }
        if afresh {
            self.earlier = self.attempts;
            self.failures = 0;
        }
        self.turn = turn;
        self.state = PushState::Waiting { due: now };
        true
    }
}

/// What the end of an attempt comes to. For backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// Nothing: another attempt has begun, or the push is not open.
    Lost,
    /// The push is still open, and to be kept as it is now.
    Open,
    /// The push is dealt with: what is left of it is this answer.
    Done {
        /// What duplicates of it are answered, if anything.
        answer: Option<String>,
    },
}
