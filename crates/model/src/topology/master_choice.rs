//! Which server is the master, from what several sentinels say.
//!
//! Sentinels number the configurations of a master: each failover has a higher *epoch* than all before. So a sentinel that
//! was cut off is told from those that know better. What most of the sentinels name is believed at once; what fewer name
//! has to be proven first, by asking the server itself for its role.

use crate::config::Address;
use crate::error::{BusError, ErrorKind};
use crate::server_error::needs_a_person;

/// A master that a sentinel names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedMaster {
    /// Its address.
    pub address: Address,
    /// The epoch of its configuration; `None` where the sentinel does not tell it.
    pub epoch: Option<u64>,
}

/// What is known of one sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// It has not answered yet.
    Pending,
    /// It names a master.
    Names(NamedMaster),
    /// It watches no master of that name.
    Unknown,
    /// It could not be asked, or has refused to answer.
    Unreachable(BusError),
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Stay,
    /// This is the master from now on.
    Follow(Address),
    /// The server is to be asked whether it is a master: [`MasterChoice::proven`] or [`MasterChoice::doubted`].
    Prove(Address),
}

/// Chooses the master.
#[derive(Debug)]
pub struct MasterChoice {
    name: String,
    sentinels: Vec<(Address, Opinion)>,
    current: Option<NamedMaster>,
    /// Servers that are said to be the master and are not known to be one, and why: at most one for each sentinel.
    doubted: Vec<(Address, BusError)>,
    /// The one that is being asked.
    proving: Option<Address>,
}

impl MasterChoice {
    /// The choice of the master `name` of these sentinels, none of which has answered.
    pub fn new(name: &str, sentinels: &[Address]) -> MasterChoice {
        MasterChoice {
            name: name.to_owned(),
            sentinels: sentinels.iter().map(|address| (address.clone(), Opinion::Pending)).collect(),
            current: None,
            doubted: Vec::new(),
            proving: None,
        }
    }

    /// The master.
    pub fn current(&self) -> Option<&Address> {
        self.current.as_ref().map(|current| &current.address)
    }

    /// What is known of each sentinel, in the order of the configuration.
    pub fn opinions(&self) -> &[(Address, Opinion)] {
        &self.sentinels
    }

    /// A sentinel, given by its number, was asked.
    pub fn told(&mut self, sentinel: usize, opinion: Opinion) {
        if let Some((_, known)) = self.sentinels.get_mut(sentinel) {
            *known = opinion;
        }
        let Self { sentinels, doubted, .. } = self;
        doubted.retain(|(address, _)| names(sentinels).any(|named| named.address == *address));
    }

    /// A server that was to be proven is a master.
    pub fn proven(&mut self, address: &Address) {
        self.proving.take_if(|proving| proving == address);
        self.doubted.retain(|(doubted, _)| doubted != address);
        if self.votes(address) > 0 {
            self.current = Some(NamedMaster { address: address.clone(), epoch: self.epoch(address) });
        }
    }

    /// A server is no master, or could not be asked.
    pub fn doubted(&mut self, address: &Address, why: BusError) {
        self.proving.take_if(|proving| proving == address);
        self.doubted.retain(|(doubted, _)| doubted != address);
        if self.votes(address) > 0 {
            self.doubted.push((address.clone(), why));
        }
    }

    /// What is to be done next. `again`: servers that are in doubt are to be asked once more.
    pub fn next(&mut self, again: bool) -> Next {
        let mut candidates: Vec<NamedMaster> = Vec::new();
        for named in names(&self.sentinels) {
            if !candidates.iter().any(|candidate| candidate.address == named.address) {
                candidates.push(NamedMaster { epoch: self.epoch(&named.address), ..named.clone() });
            }
        }
        // The newest first; among equals the present one, then what most sentinels name.
        let rank = |named: &NamedMaster| {
            (named.epoch, self.current() == Some(&named.address), self.votes(&named.address))
        };
        candidates.sort_by_key(|named| std::cmp::Reverse(rank(named)));
        for named in candidates {
            let is_current = self.current() == Some(&named.address);
            if is_current {
                self.current = Some(named);
                return Next::Stay;
            }
            let is_doubted = self.doubted.iter().any(|(doubted, _)| *doubted == named.address);
            let by_most = self.votes(&named.address) >= self.most();
            let is_older = self.current.as_ref().is_some_and(|current| named.epoch < current.epoch);
            if by_most && !is_doubted {
                let address = named.address.clone();
                self.current = Some(named);
                return Next::Follow(address);
            }
            // A few who know less than was known before are behind.
            if (is_older && !by_most) || (is_doubted && !again) {
                continue;
            }
            if self.proving.is_some() {
                return Next::Stay;
            }
            self.proving = Some(named.address.clone());
            return Next::Prove(named.address);
        }
        Next::Stay
    }

    /// Whether there is something to wait for: a sentinel that has not answered, or a server that is being asked.
    pub fn is_open(&self) -> bool {
        self.proving.is_some() || self.sentinels.iter().any(|(_, opinion)| *opinion == Opinion::Pending)
    }

    /// The error of a client that has no master: what each sentinel says. Where that is so until a person does something, the
    /// kind of the error says what.
    pub fn no_master(&self) -> BusError {
        let unreachable = self.sentinels.iter().map(|(_, opinion)| match opinion {
            Opinion::Unreachable(error) => Some(error.kind),
            _ => None,
        });
        let kinds: Vec<Option<ErrorKind>> = match self.doubted.first() {
            Some((_, why)) => vec![Some(why.kind)],
            None => unreachable.collect(),
        };
        let lasting = |kind: &ErrorKind| needs_a_person(*kind) && *kind != ErrorKind::NotMaster;
        let first = kinds.first().copied().flatten().filter(lasting);
        let kind = first.filter(|kind| kinds.iter().all(|other| *other == Some(*kind)));
        let message = format!("no server is known to be the master {:?}: {}", self.name, self.report());
        BusError::new(kind.unwrap_or(ErrorKind::ConnectionRefused), message)
    }

    /// What each sentinel says, for a person.
    pub fn report(&self) -> String {
        let said: Vec<String> = self
            .sentinels
            .iter()
            .map(|(address, opinion)| format!("{address} {}", self.said(opinion)))
            .collect();
        said.join("; ")
    }

    /// What a sentinel with that opinion says, for a person.
    pub fn said(&self, opinion: &Opinion) -> String {
        match opinion {
            Opinion::Pending => "has not answered yet".to_owned(),
            Opinion::Unknown => format!("knows no master {:?}", self.name),
            Opinion::Unreachable(error) => format!("gives no answer ({})", error.message),
            Opinion::Names(named) => {
                let doubt = self.doubted.iter().find(|(doubted, _)| *doubted == named.address);
                let doubt = doubt.map(|(_, why)| format!(", which is not known to be one ({})", why.message));
                format!("names {}{}", named.address, doubt.unwrap_or_default())
            }
        }
    }

    fn votes(&self, address: &Address) -> usize {
        names(&self.sentinels).filter(|named| named.address == *address).count()
    }

    /// How many sentinels are most of them.
    fn most(&self) -> usize {
        self.sentinels.len() / 2 + 1
    }

    /// The epoch of a server that is named: what most sentinels say of it at least. Where fewer name it, it is the newest that
    /// is said, but for the present master: a single sentinel that says too much of it must not outdo what comes after it.
    fn epoch(&self, address: &Address) -> Option<u64> {
        let of_it = names(&self.sentinels).filter(|named| named.address == *address);
        let mut epochs: Vec<Option<u64>> = of_it.map(|named| named.epoch).collect();
        epochs.sort_by_key(|epoch| std::cmp::Reverse(*epoch));
        match (epochs.get(self.most() - 1), &self.current) {
            (Some(agreed), _) => *agreed,
            (None, Some(current)) if current.address == *address => current.epoch,
            (None, _) => epochs.first().copied().flatten(),
        }
    }
}

fn names(sentinels: &[(Address, Opinion)]) -> impl Iterator<Item = &NamedMaster> {
    sentinels.iter().filter_map(|(_, opinion)| match opinion {
        Opinion::Names(named) => Some(named),
        _ => None,
    })
}
