//! Budgets: how much one subject and one client network may ask for, read and hold open.
//!
//! The rules are pure ([`Account`], with `now` as an argument); the map of accounts is bounded and forgets whom it has
//! not seen for longest. Counted in this process alone: every replica has its own budget. An answer under way is never
//! cut; what it sends counts, and the next request pays for it. `docs/identity.md` says what that means.

mod account;
mod config;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use moka::future::Cache;
use moka::policy::EvictionPolicy;

use self::account::Account;
pub use self::account::{Limit, Limits};
pub use self::config::{BudgetError, Config};
use super::client_addr::ClientAddr;
use super::subject::Subject;
use crate::metrics::Metrics;

/// Memory for accounts: some 200,000 of them.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// What an account takes besides its name, the map's own share included.
const ACCOUNT_BYTES: u32 = 256;
/// Longer than any day, so that nobody's day is forgotten by rest.
const IDLE: Duration = Duration::from_hours(25);

/// All accounts of the process; clones share them, and they outlive a reload.
#[derive(Clone, Debug)]
pub struct Accounts {
    accounts: Cache<Holder, Arc<Mutex<Account>>>,
    metrics: Metrics,
}

/// Whose account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Network(IpNet),
    /// Two issuers may give the same name to two people.
    Subject {
        issuer: Option<Arc<str>>,
        subject: Subject,
    },
}

/// The limits in force, and the accounts they are held against.
#[derive(Clone, Debug)]
pub struct Budgets {
    accounts: Accounts,
    per_subject: Option<Limits>,
    per_network: Option<PerNetwork>,
}

/// The limits of a network, and how large one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerNetwork {
    /// What each may do.
    pub limits: Limits,
    /// Addresses with so many leading bits in common are one network.
    pub prefix_v4: u8,
    /// The same for IPv6, where one customer usually has a /64 at least.
    pub prefix_v6: u8,
}

/// A budget that is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {} has spent its budget of {}", who.as_str(), limit.as_str())]
pub struct Spent {
    /// Whose.
    pub who: Who,
    /// Which part of it.
    pub limit: Limit,
    /// When another request may do better.
    pub retry_after: Duration,
}

impl Spent {
    /// The word for the log and the metrics.
    pub fn reason(&self) -> &'static str {
        match self.limit {
            Limit::Requests => "budget-requests",
            Limit::Bytes => "budget-bytes",
            Limit::Concurrent => "budget-concurrent",
        }
    }
}

/// Whose budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The client's network.
    Network,
    /// The subject.
    Subject,
}

impl Who {
    /// The word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Subject => "subject",
        }
    }
}

/// A request that is paid for; what it sends is charged, and it counts as open until dropped.
#[derive(Debug)]
pub struct Tab(Arc<Mutex<Account>>);

impl Tab {
    /// Some bytes of body were handed to the client's connection.
    pub fn charge(&self, bytes: u64, now: SystemTime) {
        lock(&self.0).charge(bytes, now);
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        lock(&self.0).close();
    }
}

/// Whoever panicked has left the numbers as they were.
fn lock(account: &Mutex<Account>) -> MutexGuard<'_, Account> {
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Accounts {
    /// No accounts yet.
    pub fn new(metrics: Metrics) -> Self {
        Self::within(MOST_BYTES, metrics)
    }

    fn within(bytes: u64, metrics: Metrics) -> Self {
        let weigh = |holder: &Holder, _: &Arc<Mutex<Account>>| match holder {
            Holder::Network(_) => ACCOUNT_BYTES,
            Holder::Subject { subject, .. } => {
                ACCOUNT_BYTES.saturating_add(u32::try_from(subject.as_str().len()).unwrap_or(u32::MAX))
            }
        };
        // LRU: the default policy may refuse new keys, and then a newcomer would have no limits.
        let accounts = Cache::builder()
            .max_capacity(bytes)
            .weigher(weigh)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(IDLE)
            .build();
        Self { accounts, metrics }
    }

    async fn open(&self, holder: Holder, limits: &Limits, now: SystemTime) -> Result<Tab, (Limit, Duration)> {
        let known = self.accounts.get(&holder).await;
        let account = match known {
            Some(account) => account,
            // Rare, and large enough to weigh on every request.
            None => Box::pin(self.accounts.get_with(holder, async { Arc::default() })).await,
        };
        lock(&account).open(limits, now)?;
        Ok(Tab(account))
    }
}

impl Budgets {
    /// Limits over accounts.
    pub fn new(accounts: Accounts, config: &Config) -> Self {
        Self { accounts, per_subject: config.per_subject(), per_network: config.per_network() }
    }

    /// Whether networks have a budget.
    pub fn limit_networks(&self) -> bool {
        self.per_network.is_some()
    }

    /// Whether subjects have one.
    pub fn limit_subjects(&self) -> bool {
        self.per_subject.is_some()
    }

    /// Lets a request from a network pass, or says what is spent. Nothing where there is no limit.
    pub async fn network(&self, client: ClientAddr, now: SystemTime) -> Result<Option<Tab>, Spent> {
        let Some(rules) = &self.per_network else { return Ok(None) };
        self.open(Who::Network, Holder::Network(rules.network(client.ip())), &rules.limits, now).await.map(Some)
    }

    /// The same for a subject, as `issuer` names it; links have none.
    pub async fn subject(
        &self,
        issuer: Option<&Arc<str>>,
        subject: &Subject,
        now: SystemTime,
    ) -> Result<Option<Tab>, Spent> {
        let Some(limits) = &self.per_subject else { return Ok(None) };
        let holder = Holder::Subject { issuer: issuer.cloned(), subject: subject.clone() };
        self.open(Who::Subject, holder, limits, now).await.map(Some)
    }

    async fn open(&self, who: Who, holder: Holder, limits: &Limits, now: SystemTime) -> Result<Tab, Spent> {
        self.accounts.open(holder, limits, now).await.map_err(|(limit, retry_after)| {
            self.accounts.metrics.budget_spent(who.as_str(), limit.as_str());
            Spent { who, limit, retry_after }
        })
    }
}

impl PerNetwork {
    fn network(&self, address: IpAddr) -> IpNet {
        let prefix = if address.is_ipv4() { self.prefix_v4 } else { self.prefix_v6 };
        IpNet::new(address, prefix).map_or_else(|_| address.into(), |network| network.trunc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTS: Limits = Limits { requests: Some((1, 2)), bytes_per_day: None, concurrent: None };

    fn budgets(bytes: u64, rules: PerNetwork) -> Budgets {
        let accounts = Accounts::within(bytes, Metrics::new());
        Budgets { accounts, per_subject: Some(rules.limits), per_network: Some(rules) }
    }

    fn client(address: &str) -> ClientAddr {
        ClientAddr::from(address.parse::<IpAddr>().expect("legal"))
    }

    #[tokio::test]
    async fn addresses_of_one_network_share_one_account() {
        let rules = PerNetwork { limits: REQUESTS, prefix_v4: 24, prefix_v6: 64 };
        let budgets = budgets(MOST_BYTES, rules);
        let now = SystemTime::UNIX_EPOCH;
        for (address, good) in [
            ("192.0.2.1", true),
            ("192.0.2.2", true),
            ("::ffff:192.0.2.3", false),
            ("192.0.3.1", true),
            ("2001:db8::1", true),
            ("2001:db8::2:0:0:1", true),
            ("2001:db8::3", false),
            ("2001:db8:0:1::1", true),
        ] {
            assert_eq!(budgets.network(client(address), now).await.is_ok(), good, "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_is_somebody_else_with_another_issuer() {
        let budgets = budgets(MOST_BYTES, PerNetwork { limits: REQUESTS, prefix_v4: 32, prefix_v6: 64 });
        let (subject, now) = (Subject::new("annotator-17").expect("legal"), SystemTime::UNIX_EPOCH);
        let (one, other): (Arc<str>, Arc<str>) = ("https://one.example".into(), "https://other.example".into());
        for issuer in [None, Some(&one), Some(&other)] {
            assert!(budgets.subject(issuer, &subject, now).await.is_ok());
            assert!(budgets.subject(issuer, &subject, now).await.is_ok());
            let spent = budgets.subject(issuer, &subject, now).await.expect_err("spent");
            assert_eq!((spent.who, spent.limit), (Who::Subject, Limit::Requests));
        }
    }

    #[tokio::test]
    async fn a_flood_of_networks_takes_bounded_memory() {
        let most = 100 * u64::from(ACCOUNT_BYTES);
        let budgets = budgets(most, PerNetwork { limits: REQUESTS, prefix_v4: 32, prefix_v6: 64 });
        for address in 0..5000_u32 {
            let address = IpAddr::from(address.to_be_bytes());
            assert!(budgets.network(ClientAddr::from(address), SystemTime::UNIX_EPOCH).await.is_ok());
        }
        budgets.accounts.accounts.run_pending_tasks().await;
        assert!(budgets.accounts.accounts.weighted_size() <= most);
        assert!(budgets.accounts.accounts.entry_count() <= 100);
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_the_answer_ends() {
        let limits = Limits { requests: None, bytes_per_day: None, concurrent: Some(2) };
        let budgets = budgets(MOST_BYTES, PerNetwork { limits, prefix_v4: 32, prefix_v6: 64 });
        let (client, now) = (client("192.0.2.1"), SystemTime::UNIX_EPOCH);
        let first = budgets.network(client, now).await.expect("a place");
        let _second = budgets.network(client, now).await.expect("a place");
        assert_eq!(budgets.network(client, now).await.expect_err("full").limit, Limit::Concurrent);
        drop(first);
        assert!(budgets.network(client, now).await.is_ok());
    }
}
