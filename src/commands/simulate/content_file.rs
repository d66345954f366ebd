//! The content of a simulated edge on a disk: a file of changes, one a line and in their order, so that whatever
//! was acknowledged is still there when the simulation was killed.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::content::{Change, Content};

/// The file of one edge.
#[derive(Debug)]
pub(super) struct ContentFile {
    path: PathBuf,
    file: File,
}

impl ContentFile {
    /// Opens an edge's file, and reads what is in it.
    pub(super) async fn open(folder: &Path, edge: Uuid) -> io::Result<(Content, Self)> {
        fs::create_dir_all(folder).await?;
        let path = folder.join(format!("{edge}.jsonl"));
        let text = match fs::read_to_string(&path).await {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut content = Content::replayed(read(&text)?);
        // Written anew, it is as long as it has to be, and ends with a whole line.
        let file = write_anew(&path, &content.dump().collect::<Vec<_>>()).await?;
        content.keep_changes();
        Ok((content, Self { path, file }))
    }

    /// Writes changes behind the others.
    pub(super) async fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        self.file.write_all(lines(changes).as_bytes()).await?;
        self.file.flush().await
    }

    /// Puts these changes in the place of all others.
    pub(super) async fn rewrite(&mut self, changes: &[Change]) -> io::Result<()> {
        self.file = write_anew(&self.path, changes).await?;
        Ok(())
    }

    /// Takes the file away.
    pub(super) async fn remove(folder: &Path, edge: Uuid) -> io::Result<()> {
        fs::remove_file(folder.join(format!("{edge}.jsonl"))).await
    }
}

async fn write_anew(path: &Path, changes: &[Change]) -> io::Result<File> {
    let beside = path.with_extension("new");
    fs::write(&beside, lines(changes)).await?;
    fs::rename(&beside, path).await?;
    OpenOptions::new().append(true).open(path).await
}

fn lines(changes: &[Change]) -> String {
    changes.iter().map(|change| serde_json::to_string(change).expect("names and numbers are JSON") + "\n").collect()
}

/// The changes of a file; a last line that was not written to its end is left out.
fn read(text: &str) -> io::Result<Vec<Change>> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(n: u128, sync_version: i64) -> Change {
        Change::Put { id: Uuid::from_u128(n), sync_version, fingerprint: 7 }
    }

    #[tokio::test]
    async fn what_was_written_is_there_again_but_for_a_torn_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let (content, mut file) = ContentFile::open(&folder.path().join("new"), Uuid::nil()).await.expect("opens");
        assert_eq!(content.held().count, 0);
        let changes = [put(1, 10), put(2, 11), Change::Entered { epoch: "e".to_owned() }, Change::Dropped { id: Uuid::from_u128(1) }];
        file.append(&changes).await.expect("writes");
        file.file.write_all(br#"{"put":{"id":"#).await.expect("writes");
        file.file.flush().await.expect("writes");
        for _ in 0..2 {
            let (content, _) = ContentFile::open(&folder.path().join("new"), Uuid::nil()).await.expect("opens");
            assert_eq!(content.items().map(|(id, item)| (id.as_u128(), item.sync_version)).collect::<Vec<_>>(), [(2, 11)]);
            assert_eq!(content.hello().0.as_deref(), Some("e"));
        }
        let (_, mut file) = ContentFile::open(&folder.path().join("new"), Uuid::nil()).await.expect("opens");
        file.rewrite(&[put(3, 1)]).await.expect("writes");
        file.append(&[put(4, 2)]).await.expect("writes");
        let (content, _) = ContentFile::open(&folder.path().join("new"), Uuid::nil()).await.expect("opens");
        assert_eq!(content.items().map(|(id, _)| id.as_u128()).sum::<u128>(), 3 + 4);
    }

    #[test]
    fn a_broken_file_is_no_empty_one() {
        assert!(read("{\"put\":3}\n").is_err());
        assert_eq!(read("{\"put\":").expect("torn"), []);
    }
}
