//! Stores of values by key, by whatever means.

use std::fs;
use std::path::{Path, PathBuf};

use ebbtide::{Segment, SharedStateManager, StateError};
use heed::types::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use crate::Fallible;
use crate::troop::Page;

/// One of the means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Ebbtide,
    Map,
    Sqlite,
    Lmdb,
    File,
}

impl Kind {
    pub const ALL: [Self; 5] = [
        Self::Ebbtide,
        Self::Map,
        Self::Sqlite,
        Self::Lmdb,
        Self::File,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ebbtide => "ebbtide",
            Self::Map => "mutex-guarded map",
            Self::Sqlite => "SQLite WAL",
            Self::Lmdb => "LMDB",
            Self::File => "file with rename",
        }
    }
}

/// A store of one of them, as one process has it. What is kept is in memory everywhere: the
/// files are in the shared-memory file system, and nothing is flushed to a disk.
pub enum Store<'a> {
    Ebbtide(SharedStateManager),
    Map(&'a Page),
    Sqlite(Box<Connection>),
    Lmdb(heed::Env, heed::Database<Bytes, Bytes>),
    File(PathBuf),
}

impl<'a> Store<'a> {
    pub fn open(kind: Kind, scratch: &Path, page: &'a Page, segment: &Segment) -> Fallible<Self> {
        Ok(match kind {
            Kind::Ebbtide => Self::Ebbtide(SharedStateManager::open(segment)?),
            Kind::Map => Self::Map(page),
            Kind::Sqlite => {
                let connection = Connection::open(scratch.join("sqlite"))?;
                // Its own waiting sleeps ever longer, and can lose to a writer without pauses for
                // as long as one lets it.
                connection.busy_handler(Some(|_| {
                    std::thread::yield_now();
                    true
                }))?;
                connection.pragma_update(None, "journal_mode", "WAL")?;
                connection.pragma_update(None, "synchronous", "OFF")?;
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS state (key BLOB PRIMARY KEY, value BLOB)",
                    [],
                )?;
                Self::Sqlite(Box::new(connection))
            }
            Kind::Lmdb => {
                let path = scratch.join("lmdb");
                fs::create_dir_all(&path)?;
                let mut options = heed::EnvOpenOptions::new();
                options.map_size(16 << 20);
                // SAFETY: nothing is flushed, which is about a machine that crashes.
                unsafe { options.flags(heed::EnvFlags::NO_SYNC) };
                // SAFETY: opened once per process, and its files are changed by LMDB only.
                let env = unsafe { options.open(path) }?;
                let mut transaction = env.write_txn()?;
                let database = env.create_database(&mut transaction, None)?;
                transaction.commit()?;
                Self::Lmdb(env, database)
            }
            Kind::File => {
                let path = scratch.join("values");
                fs::create_dir_all(&path)?;
                Self::File(path)
            }
        })
    }

    pub fn get(&self, key: &str, into: &mut Vec<u8>) -> Fallible<bool> {
        Ok(match self {
            Self::Ebbtide(state) => state.get_into(key, into)?,
            Self::Map(page) => page.map.0.get(key.as_bytes(), into),
            Self::Sqlite(connection) => {
                let mut query =
                    connection.prepare_cached("SELECT value FROM state WHERE key = ?1")?;
                let found = query.query_row([key.as_bytes()], |row| {
                    into.clear();
                    into.extend_from_slice(row.get_ref(0)?.as_blob()?);
                    Ok(())
                });
                found.optional()?.is_some()
            }
            Self::Lmdb(env, database) => {
                let transaction = env.read_txn()?;
                let Some(value) = database.get(&transaction, key.as_bytes())? else {
                    return Ok(false);
                };
                into.clear();
                into.extend_from_slice(value);
                true
            }
            Self::File(path) => {
                *into = fs::read(path.join(key))?;
                true
            }
        })
    }

    pub fn set(&self, key: &str, value: &[u8]) -> Fallible {
        self.set_all(&[key], value)
    }

    /// Several keys at once. A file with rename cannot: it sets them one by one.
    pub fn set_all(&self, keys: &[&str], value: &[u8]) -> Fallible {
        match self {
            Self::Ebbtide(state) => match keys {
                [key] => state.set(key, value)?,
                keys => state.transaction(|tx| {
                    keys.iter().try_for_each(|key| tx.set(key, value))?;
                    Ok::<_, StateError>(())
                })?,
            },
            Self::Map(page) => {
                let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
                page.map.0.set_all(&keys, value);
            }
            Self::Sqlite(connection) => {
                connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
                for key in keys {
                    connection
                        .prepare_cached("INSERT OR REPLACE INTO state VALUES (?1, ?2)")?
                        .execute(params![key.as_bytes(), value])?;
                }
                connection.prepare_cached("COMMIT")?.execute([])?;
            }
            Self::Lmdb(env, database) => {
                let mut transaction = env.write_txn()?;
                for key in keys {
                    database.put(&mut transaction, key.as_bytes(), value)?;
                }
                transaction.commit()?;
            }
            Self::File(path) => {
                let new = path.join(format!(".new-{}", std::process::id()));
                for key in keys {
                    fs::write(&new, value)?;
                    fs::rename(&new, path.join(key))?;
                }
            }
        }
        Ok(())
    }

    /// Several values of one moment; answers how many. Files are read one by one, of
    /// whatever moments.
    pub fn snapshot(&self, keys: &[&str]) -> Fallible<usize> {
        Ok(match self {
            Self::Ebbtide(state) => state.snapshot(keys)?.iter().flatten().count(),
            Self::Map(page) => {
                let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
                page.map.0.get_all(&keys).iter().flatten().count()
            }
            Self::Sqlite(connection) => {
                connection.prepare_cached("BEGIN")?.execute([])?;
                let (mut value, mut count) = (Vec::new(), 0);
                for key in keys {
                    count += usize::from(self.get(key, &mut value)?);
                }
                connection.prepare_cached("COMMIT")?.execute([])?;
                count
            }
            Self::Lmdb(env, database) => {
                let transaction = env.read_txn()?;
                let mut values = Vec::with_capacity(keys.len());
                for key in keys {
                    let value = database.get(&transaction, key.as_bytes())?;
                    values.push(value.map(<[u8]>::to_vec));
                }
                values.iter().flatten().count()
            }
            Self::File(path) => {
                let read = |key: &&str| fs::read(path.join(key)).ok();
                keys.iter().filter_map(read).count()
            }
        })
    }
}
