//! The tables of the store's file, and the form of their values: a version, a checksum, a payload.
//! Knows nothing of where the file is or who asks.

use redb::{ReadTransaction, ReadableTable, TableDefinition, TableHandle, WriteTransaction};

/// Schema version that this podfit reads and writes.
pub(super) const SCHEMA: u32 = 1;

/// What the file is: `schema`, `created_by`.
pub(super) const META: TableDefinition<'static, &str, &str> = TableDefinition::new("meta");
/// Text of a workload key → sealed history.
pub(super) const HISTORIES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("histories");
/// Source id → sealed progress.
pub(super) const PROGRESS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("progress");
/// (namespace, pod, uid) → sealed record of a pod.
pub(super) const PODS: TableDefinition<'static, (&str, &str, &str), &[u8]> = TableDefinition::new("pods_seen");
/// Source id → sealed list of the runs that its next reading may take the place of.
pub(super) const PROVISIONAL: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("provisional");
/// `table/key#n` → a value of that table that could not be read.
pub(super) const DAMAGED: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("damaged");

const SCHEMA_KEY: &str = "schema";
const CREATED_BY_KEY: &str = "created_by";

/// What a file turns out to hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing yet.
    Empty,
    /// A store of this schema version.
    Store(u32),
    /// Another program's tables.
    Foreign,
}

/// Creates all tables and writes what the file is.
pub(super) fn initialise(txn: &WriteTransaction) -> Result<(), redb::Error> {
    txn.open_table(HISTORIES)?;
    txn.open_table(PROGRESS)?;
    txn.open_table(PODS)?;
    txn.open_table(DAMAGED)?;
    txn.open_table(META)?.insert(CREATED_BY_KEY, env!("CARGO_PKG_VERSION"))?;
    write_schema(txn, SCHEMA)
}

pub(super) fn write_schema(txn: &WriteTransaction, version: u32) -> Result<(), redb::Error> {
    txn.open_table(META)?.insert(SCHEMA_KEY, version.to_string().as_str())?;
    Ok(())
}

/// Looks at what the file holds.
pub(super) fn content(txn: &ReadTransaction) -> Result<Content, redb::Error> {
    let names: Vec<String> = txn.list_tables()?.map(|t| t.name().to_owned()).collect();
    if names.is_empty() && txn.list_multimap_tables()?.next().is_none() {
        return Ok(Content::Empty);
    }
    if !names.iter().any(|n| n == META.name()) {
        return Ok(Content::Foreign);
    }
    let Ok(meta) = txn.open_table(META) else { return Ok(Content::Foreign) };
    let version = meta.get(SCHEMA_KEY)?.and_then(|v| v.value().parse().ok());
    Ok(version.map_or(Content::Foreign, Content::Store))
}

/// A step from one schema version to the next, run in one transaction with the rest of the steps.
pub(super) struct Migration {
    /// The version that it starts from; it ends at the next.
    pub from: u32,
    /// Changes the tables; the version itself is written by [`migrate`].
    pub apply: fn(&WriteTransaction) -> Result<(), redb::Error>,
}

/// The steps to [`SCHEMA`] from every older version: none yet, 1 is the first.
pub(super) const MIGRATIONS: &[Migration] = &[];

/// Applies all steps from version `stored` up to `target`. `Ok(false)` when a step is missing; then nothing may be
/// committed.
pub(super) fn migrate(
    txn: &WriteTransaction,
    stored: u32,
    target: u32,
    steps: &[Migration],
) -> Result<bool, redb::Error> {
    for version in stored..target {
        let Some(step) = steps.iter().find(|s| s.from == version) else { return Ok(false) };
        (step.apply)(txn)?;
    }
    write_schema(txn, target)?;
    Ok(true)
}

/// Wraps a payload: form version (1 byte), CRC-32C of version, payload and the record's key (4 bytes, little-endian),
/// payload. With the key in it, a name that was damaged is not read as another one.
pub(super) fn seal(version: u8, key: &str, payload: &[u8]) -> Vec<u8> {
    let crc = crc32c::crc32c_append(checksum_without_key(version, payload), key.as_bytes());
    let mut out = Vec::with_capacity(payload.len() + 5);
    out.push(version);
    out.extend(crc.to_le_bytes());
    out.extend(payload);
    out
}

/// Form version and payload of what [`seal`] wrote under this key, or what earlier versions did, whose checksum leaves
/// the key out; the error says what is wrong.
pub(super) fn unseal<'a>(key: &str, bytes: &'a [u8]) -> Result<(u8, &'a [u8]), String> {
    let Some((&[version, a, b, c, d], payload)) = bytes.split_first_chunk::<5>() else {
        return Err("too short".to_owned());
    };
    let written = u32::from_le_bytes([a, b, c, d]);
    let without_key = checksum_without_key(version, payload);
    if written != crc32c::crc32c_append(without_key, key.as_bytes()) && written != without_key {
        return Err("checksum does not match".to_owned());
    }
    Ok((version, payload))
}

fn checksum_without_key(version: u8, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[version]), payload)
}

/// Keeps a value that could not be read, under a name that no other one has.
pub(super) fn keep_damaged(txn: &WriteTransaction, table: &str, key: &str, value: &[u8]) -> Result<(), redb::Error> {
    let mut damaged = txn.open_table(DAMAGED)?;
    let mut n = 1_u32;
    loop {
        let name = format!("{table}/{key}#{n}");
        let kept = damaged.get(name.as_str())?.map(|v| v.value() == value);
        match kept {
            Some(true) => return Ok(()),
            Some(false) => n += 1,
            None => {
                damaged.insert(name.as_str(), value)?;
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use redb::{Database, ReadableDatabase, backends::InMemoryBackend};

    use super::*;

    fn version(db: &Database) -> Content {
        content(&db.begin_read().unwrap()).unwrap()
    }

    /// Steps 1 → 2 and 2 → 3, as later versions will have.
    const STEPS: &[Migration] = &[
        Migration {
            from: 2,
            apply: |txn| {
                txn.open_table(META)?.insert("step", "second")?;
                Ok(())
            },
        },
        Migration {
            from: 1,
            apply: |txn| {
                assert!(txn.open_table(META)?.insert("step", "first")?.is_none());
                Ok(())
            },
        },
    ];

    #[test]
    fn older_schemas_are_brought_up_step_by_step_or_left_alone() {
        let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        assert_eq!(version(&db), Content::Empty);
        let txn = db.begin_write().unwrap();
        initialise(&txn).unwrap();
        txn.commit().unwrap();
        assert_eq!(version(&db), Content::Store(SCHEMA));

        let txn = db.begin_write().unwrap();
        assert!(!migrate(&txn, 1, 4, STEPS).unwrap(), "there is no step from 3");
        txn.abort().unwrap();
        assert_eq!(version(&db), Content::Store(1));

        let txn = db.begin_write().unwrap();
        assert!(migrate(&txn, 1, 3, STEPS).unwrap());
        txn.commit().unwrap();
        assert_eq!(version(&db), Content::Store(3));
        let meta = db.begin_read().unwrap().open_table(META).unwrap();
        assert_eq!(meta.get("step").unwrap().unwrap().value(), "second");
    }

    #[test]
    fn there_is_a_step_from_every_older_schema() {
        let from: Vec<u32> = MIGRATIONS.iter().map(|m| m.from).collect();
        assert_eq!(from, (1..SCHEMA).collect::<Vec<_>>());
    }

    #[test]
    fn a_sealed_value_notices_every_changed_bit() {
        let sealed = seal(3, "key", b"payload");
        assert_eq!(unseal("key", &sealed), Ok((3, &b"payload"[..])));
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal("key", &changed).is_err(), "bit {bit}");
        }
        assert!((0..sealed.len()).all(|n| unseal("key", &sealed[..n]).is_err()));
        for other in ["kez", "ke", "keyy", ""] {
            assert!(unseal(other, &sealed).is_err(), "{other}");
        }
    }

    #[test]
    fn a_value_sealed_without_its_key_is_read_as_before() {
        let earlier = [&[3][..], &crc32c::crc32c(b"\x03payload").to_le_bytes(), b"payload"].concat();
        assert_eq!(unseal("key", &earlier), Ok((3, &b"payload"[..])));
    }
}
