//! A crowd of workers, and a client that asks meanwhile.

use std::sync::mpsc as thread_mpsc;

use super::super::connection::{Connection, ConnectionLimits, accept, bind};
use super::*;

/// Keeps all threads of the crowd's lane (there is one) busy until it is dropped.
fn block(lanes: &Lanes) -> thread_mpsc::Sender<()> {
    let (release, blocked) = thread_mpsc::channel::<()>();
    let (begun, begins) = thread_mpsc::channel();
    lanes.crowd().unwrap().spawn(async move {
        begun.send(()).unwrap();
        let _ = blocked.recv();
    });
    begins.recv().unwrap();
    release
}

#[tokio::test]
async fn a_client_does_not_wait_behind_a_crowd_of_workers() {
    let (handle, inbox) = Handle::new(Strategies::default());
    let (workers, mut attached) = mpsc::channel(4);
    let (sender, mut said) = mpsc::channel(64);
    tokio::spawn(intercept(inbox, driver().await, workers, sender));
    // One worker has a place beside the driver, the second is the crowd.
    let lanes = Lanes::two(1, 1).unwrap();
    let settings = TransportSettings { lanes: lanes.clone(), ..TransportSettings::default() };
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let connections = accept(listener, ConnectionLimits::default(), None, lanes.clone());
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(serve::<Connection>(handle, connections, settings, shutdown.clone()));

    let channel =
        async || Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = ClusterServiceClient::new(channel().await);
    let status = v1::GetCoordinatorStatusRequest::default;
    client.get_coordinator_status(status()).await.unwrap();
    let mut attach = async || {
        let (sender, queue) = mpsc::channel(4);
        sender.send(hello()).await.unwrap();
        let stream = DispatchServiceClient::new(channel().await).attach(ReceiverStream::new(queue)).await;
        (sender, stream.unwrap().into_inner(), attached.recv().await.unwrap().1)
    };
    let beside = attach().await;
    let mut crowd = attach().await;
    assert!(crowd.1.message().await.unwrap().is_some(), "its welcome has come");

    let blocked = block(&lanes);
    let heartbeat = || v1::AttachRequest { kind: Some(RequestKind::Heartbeat(v1::Heartbeat {})) };
    crowd.0.send(heartbeat()).await.unwrap();
    for _ in 0..3 {
        let answered = tokio::time::timeout(PATIENCE, client.get_coordinator_status(status())).await;
        answered.expect("a client's answer does not need the crowd's thread").unwrap();
    }
    assert!(said.try_recv().is_err(), "the second worker is served by the thread that is busy");
    beside.0.send(heartbeat()).await.unwrap();
    let heard = tokio::time::timeout(PATIENCE, said.recv()).await;
    assert_eq!(heard.expect("nor does the first worker"), Some(Said::Message(FromWorker::Heartbeat)));

    drop(blocked);
    let heard = tokio::time::timeout(PATIENCE, said.recv()).await;
    assert_eq!(heard.expect("it goes on"), Some(Said::Message(FromWorker::Heartbeat)));
    // Both directions work in the other lane.
    let message = ToWorker::Drain { within: Duration::from_secs(1) };
    crowd.2.send(Outgoing { message, trace: None }).await.unwrap();
    let told = tokio::time::timeout(PATIENCE, crowd.1.message()).await.expect("in time").unwrap();
    assert!(matches!(told.unwrap().kind, Some(ResponseKind::Drain(_))));

    // A leaving worker makes room: the next worker is beside the driver again.
    drop(beside);
    let heard = tokio::time::timeout(PATIENCE, said.recv()).await.expect("in time").unwrap();
    assert!(matches!(heard, Said::Gone(_)), "{heard:?}");
    let blocked = block(&lanes);
    let third = tokio::time::timeout(PATIENCE, attach()).await.expect("it needs no other thread");
    drop((blocked, third));
    shutdown.cancel();
    drop(crowd);
    drop(client);
    tokio::time::timeout(PATIENCE, serving).await.expect("it ends with its connections").unwrap();
}
