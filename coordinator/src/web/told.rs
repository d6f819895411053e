//! How pages hear that something has changed: server-sent events.

use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::{mpsc, watch};

use super::access::Visitor;
use super::body::Content;
use super::ending::{Ending, Stage};

/// A page that hears nothing hears a comment, so that it is noticed when it has gone.
const SILENCE: Duration = Duration::from_secs(15);

/// An event for each change of `changed`, and when the program comes further; the last one says that it ends. They end when the visitor may
/// no more look.
pub(super) fn events(mut changed: watch::Receiver<u64>, ending: &Ending, visitor: Visitor) -> Content {
    let (sender, receiver) = mpsc::channel(1);
    let mut ending = ending.subscribe();
    // It may be over.
    ending.mark_changed();
    tokio::spawn(async move {
        let mut ended = std::pin::pin!(visitor.ended());
        loop {
            let event = tokio::select! {
                told = changed.changed() => match told {
                    Ok(()) => change(*changed.borrow_and_update()),
                    Err(_) => return,
                },
                came = ending.changed() => match (came, &*ending.borrow_and_update()) {
                    (Ok(()), Stage::Searching) => continue,
                    (Ok(()), Stage::Comparing) => change(*changed.borrow()),
                    (Ok(()), Stage::Ended(_)) => Bytes::from_static(b"event: end\ndata: end\n\n"),
                    (Err(_), _) => return,
                },
                () = tokio::time::sleep(SILENCE) => Bytes::from_static(b": silence\n\n"),
                () = sender.closed() => return,
                () = &mut ended => return,
            };
            if sender.send(event).await.is_err() {
                return;
            }
        }
    });
    Content::Events(receiver)
}

fn change(number: u64) -> Bytes {
    Bytes::from(format!("data: {number}\n\n"))
}
