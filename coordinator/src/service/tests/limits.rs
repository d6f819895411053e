//! Shares of the cluster, workers that are asked to leave, and rates.

use super::super::connection::{ConnectionLimits, accept, bind};
use super::*;

#[tokio::test]
async fn a_run_has_the_weight_it_is_created_with() {
    let setting = Setting::new().await;
    for (weight, expected) in [(None, 1.0), (Some(2.5), 2.5)] {
        let request = v1::CreateRunRequest { spec: minimal("run"), weight, ..Default::default() };
        let created = setting.runs().create_run(request).await.unwrap().into_inner();
        assert_eq!(created.run.unwrap().weight, expected);
    }
}

#[tokio::test]
async fn a_worker_is_drained_within_a_time() {
    let setting = Setting::new().await;
    let mut client = ClusterServiceClient::new(setting.channel.clone());
    let seconds = |seconds| Some(hebbian_proto::convert::from_duration(Duration::from_secs(seconds)));
    let mut sent = setting.attach_to_driver().await;
    for (asked, expected) in [(None, 10), (seconds(90), 90)] {
        let request = v1::DrainWorkerRequest { worker: 1, within: asked };
        let worker = client.drain_worker(request).await.unwrap().into_inner().worker.unwrap();
        assert_eq!((worker.id, worker.draining), (1, true));
        let within = Duration::from_secs(expected);
        assert_eq!(sent.recv().await.unwrap().message, ToWorker::Drain { within });
    }
    let request = v1::DrainWorkerRequest { worker: 1, within: seconds(0) };
    check(&client.drain_worker(request).await.unwrap_err(), Code::InvalidArgument, "within");
    let request = v1::DrainWorkerRequest { worker: 7, within: None };
    let status = client.drain_worker(request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no worker `7` is attached"));
}

/// Rates belong to addresses, so this goes over TCP.
#[tokio::test]
async fn who_asks_or_attaches_too_often_is_told_so_and_others_are_served() {
    let (handle, inbox) = Handle::new(Strategies::default());
    let (workers, mut attached) = mpsc::channel(64);
    let (said, _said) = mpsc::channel(64);
    tokio::spawn(intercept(inbox, driver().await, workers, said));
    // Practically no refill, so that the test does not depend on the time it takes.
    let slow = |burst| rate::Rate { per_second: 1e-6, burst };
    let rates = RateLimits { requests: slow(3.0), attaches: slow(2.0) };
    let settings = TransportSettings { rates, ..TransportSettings::default() };
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let connections = accept(listener, ConnectionLimits::default(), None, Lanes::one());
    tokio::spawn(serve(handle, connections, settings, CancellationToken::new()));

    let channel =
        async || Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let status = v1::GetCoordinatorStatusRequest::default;
    for _ in 0..3 {
        ClusterServiceClient::new(channel().await).get_coordinator_status(status()).await.unwrap();
    }
    let mut client = ClusterServiceClient::new(channel().await);
    let refused = client.get_coordinator_status(status()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(
        refused.message().starts_with("127.0.0.1 may ask 3 times at once"),
        "another connection does not help: {}",
        refused.message()
    );
    assert!(refused.get_details_retry_info().is_some());
    assert_eq!(
        RunServiceClient::new(channel().await)
            .list_runs(v1::ListRunsRequest::default())
            .await
            .unwrap_err()
            .code(),
        Code::ResourceExhausted
    );

    let attach = async || {
        let (sender, queue) = mpsc::channel(4);
        sender.send(hello()).await.unwrap();
        let attached = DispatchServiceClient::new(channel().await).attach(ReceiverStream::new(queue)).await;
        attached.map(|stream| (sender, stream.into_inner()))
    };
    let mut streams = vec![attach().await.unwrap(), attach().await.unwrap()];
    let refused = attach().await.err().unwrap();
    assert!(refused.message().starts_with("127.0.0.1 may attach 2 times at once"), "{}", refused.message());
    for (_, stream) in &mut streams {
        assert!(stream.message().await.unwrap().is_some(), "an attached worker stays attached");
        attached.recv().await.unwrap();
    }
}
