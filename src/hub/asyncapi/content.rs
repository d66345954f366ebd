//! The words about content: how an edge server keeps the decorations that it is sent, told so that one can be written
//! from it. Numbers of the worked example are tested.

/// How content is kept.
pub(super) fn content() -> String {
    format!(
        "## Content
An edge server holds the active decorations of its service area and of a margin around it, and no others. The supervisor sees to that: it sends what is to be held \
and what is not any more, remembers what was acknowledged, and finds out by itself what went wrong. The edge server applies, acknowledges, and compares when it is asked to.

Every change of what one edge server is to hold of one decoration has a number, `sync_version`, higher than all that this pair had before. \
One rule makes everything safe: an entry is applied when its number is higher than the last one seen for that id, be it of a decoration or of a removal; \
otherwise nothing is done. So a message that comes twice, late or after a newer one has one effect. `version`, which is a member of decorations too, is another number, of the decoration itself.

1. `sync_decorations` has a batch of at most 200 entries: `decorations` to be held and `removed` ids. At most 4 batches are on their way at once, so one that does not acknowledge is sent nothing more.
2. Every batch is answered by one `sync_ack` with its `batch_id` and a result for every entry, removals too: `ok` says that it is done, or that something newer was there already. A batch whose `batch_id` came before over this socket is acknowledged again, and its `snapshot` does not count.
3. What cannot be taken is answered with `ok: false` and the reason in `error`, kept short, as the whole message has to fit into 64 KiB. Nothing else waits for it: it comes again after 1, 3, 9 and 27 s, and is then set aside and shown to admins, until somebody edits it or asks for it.
4. Removals are remembered with their numbers until the next `checkpoint` that agrees, so that an older entry cannot bring back what was removed.
5. First to the disk, then the acknowledgement: what is acknowledged is not sent again.

## Snapshots and epochs
In mode `delta` what changed is sent. In mode `snapshot`, and whenever the edge server asks for everything (below), all of it is: from a batch with `snapshot.first` to one with `snapshot.last`, which may be the same one, and may be empty. \
Until the last one the edge server goes on serving all that it had. Then it drops what no batch named since the first; what is named counts even if its entry changed nothing. A snapshot that was cut off by the end of a session begins anew.

An `epoch` is the time in which numbers mean something: it changes when the database was restored from a backup, where numbers may come a second time. When `welcome` tells another epoch than the edge server has, \
all numbers that it has are void: they count as 0, so that every entry is newer, and remembered removals are forgotten. What is held is served on, and dropped at the end of the snapshot if it was not named. \
The edge server takes on the new epoch when the last batch of a snapshot is applied; or with `welcome` in mode `delta`, when it holds nothing. That is the epoch that it tells in `hello`; null when it holds nothing.

## Comparing
`hello` says how much is held, and its digest. A `checkpoint`, sent when nothing is on its way, says what the edge server holds by the supervisor's books. When count and digest agree, removals are forgotten and nothing is answered. \
When they do not, the edge server answers `sync_request` with `reason` `checkpoint_differs`. Whatever the reason for a difference, such as an edge server that was restored from an old disk, this repairs it:

1. `digest_request` asks for the digests of buckets. A bucket is the first `bits` bits of SHA-256(id), read as a number, `prefix`; `bits` is 0 to 16, and 0 means that all is in one. The answer is `digests`, at most 400 buckets a message, `last` in the last one. Empty buckets are left out; when all are, there is one message without buckets.
2. `inventory_request` asks for the ids and numbers in the buckets that differ, at most 16 of them. The answer is one `inventory` for each, also for an empty one. Numbers that are void are 0.
3. Only what differs is sent again, and what should not be held is removed.

Answers are to come within 10 s; else everything is sent, as a snapshot. An edge server that knows that its content is damaged asks for it all, with any other `reason`.

## A digest, worked out
The digest of a set is the XOR, over all that is in it, of the first 8 bytes of SHA-256(the 16 bytes of the id, then `sync_version` as 8 bytes, big-endian), written as 16 hexadecimal digits; of nothing it is sixteen zeros. Two decorations, by hand:

```
printf {ID_A}{NUMBER_A:016x} | xxd -r -p | sha256sum    # {MARK_A}…
printf {ID_B}{NUMBER_B:016x} | xxd -r -p | sha256sum    # {MARK_B}…
                                          # XOR of the two: {BOTH}
printf {ID_A} | xxd -r -p | sha256sum    # {PLACE_A}…
printf {ID_B} | xxd -r -p | sha256sum    # {PLACE_B}…
```

| Decoration | `sync_version` | First 8 bytes | Bucket of 2 bits |
| --- | --- | --- | --- |
| `{UUID_A}` | {NUMBER_A} | `{MARK_A}` | {BUCKET_A}, from `{PLACE_A}`… |
| `{UUID_B}` | {NUMBER_B} | `{MARK_B}` | {BUCKET_B}, from `{PLACE_B}`… |
| both: count 2 |  | `{BOTH}` |  |

## What to store
| What | How long |
| --- | --- |
| every decoration that is held, with its `sync_version` | until it is removed, or dropped at the end of a snapshot |
| ids that were removed, with their `sync_version` | until a `checkpoint` agrees, or the epoch changes |
| the epoch | as told above |
| the batches that came; what a snapshot has named so far; the epoch of `welcome` | for the session: not on the disk |

## In pseudo code
```
{PSEUDO_CODE}
```

## A reference, and a check
`examples/edge.rs` in the supervisor's repository is an edge server of this kind, in Rust, to read and to run. `ar-supervisor simulate --check-edge` is the other side: \
it prints an address and a key; when your edge server connects to it, it goes through more than twenty checks, from `hello` to a new epoch, and says what was expected and what came."
    )
}

const UUID_A: &str = "01936e1c-5a00-7000-8000-0000000000de";
const ID_A: &str = "01936e1c5a00700080000000000000de";
const NUMBER_A: i64 = 4711;
const MARK_A: &str = "fd0c8a4e9a3bf904";
const PLACE_A: &str = "cc75f43e";
const BUCKET_A: u32 = 3;
const UUID_B: &str = "01936e1c-5a00-7000-8000-0000000000df";
const ID_B: &str = "01936e1c5a00700080000000000000df";
const NUMBER_B: i64 = 4712;
const MARK_B: &str = "fdbe9a4f3ded559f";
const PLACE_B: &str = "a1a21c65";
const BUCKET_B: u32 = 2;
const BOTH: &str = "00b21001a7d6ac9b";

const PSEUDO_CODE: &str = r#"stored:  epoch = null;  held = {id: (number, decoration)};  removed = {id: number}

connected:
    send hello(protocol 1, epoch if anything is held else null, count and digest of held)

welcome(new_epoch, mode):
    batches = {};  named = none
    if new_epoch != epoch:
        removed = {};  every number in held = 0
        if held is empty and mode = "delta":  epoch = new_epoch

sync_decorations(batch_id, decorations, removals, snapshot):
    is_new = batch_id not in batches;  add batch_id to batches
    if is_new and snapshot.first:  named = {}
    for each decoration:
        if named is not none:  add its id to named
        if its number > last(its id):
            hold it, and forget removed[id]; or, if that fails, note ok = false and why
    for each removal:
        if its number > last(its id):
            hold it no more;  removed[id] = number
    if is_new and snapshot.last and named is not none:
        drop all of held whose id is not in named
        named = none;  epoch = new_epoch
    write to the disk
    send sync_ack(batch_id, a result for every decoration and every removal)

last(id) = the number in held or in removed; lower than all if it is in neither

checkpoint(count, digest):
    if they are those of held:  removed = {}
    else:  send sync_request("checkpoint_differs")

digest_request(bits):
    send digests(bits, [(prefix, count, digest) for each bucket], last), 400 buckets at a time

inventory_request(bits, prefixes):
    for each prefix:  send inventory(bits, prefix, [(id, number) for all of held in that bucket])

any other type:  nothing"#;

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::sync::{Digest, bucket};

    /// The numbers were made with `sha256sum`; they are those of the service as well.
    #[test]
    fn the_worked_example_is_right() {
        let (a, b) = (Uuid::try_parse(UUID_A).expect("a UUID"), Uuid::try_parse(UUID_B).expect("a UUID"));
        assert_eq!([a, b].map(|id| id.simple().to_string()), [ID_A, ID_B]);
        let (mark_a, mark_b) = (Digest::of(a, NUMBER_A), Digest::of(b, NUMBER_B));
        assert_eq!([mark_a, mark_b, mark_a ^ mark_b].map(|digest| digest.to_string()), [MARK_A, MARK_B, BOTH]);
        assert_eq!([bucket(a, 2), bucket(b, 2)], [BUCKET_A, BUCKET_B]);
        for (place, bits) in [(PLACE_A, BUCKET_A), (PLACE_B, BUCKET_B)] {
            assert_eq!(u32::from_str_radix(place, 16).expect("hexadecimal") >> 30, bits);
        }
        let content = content();
        for shown in ["01936e1c5a00700080000000000000de0000000000001267 |", MARK_A, MARK_B, BOTH] {
            assert!(content.contains(shown), "{shown}");
        }
    }
}
