use hebbian_proto::v1::run_event::Kind;

use super::*;

fn run(name: &str, state: RunState) -> v1::Run {
    v1::Run {
        name: format!("runs/{name}"),
        display_name: format!("spec of {name}"),
        state: Some(state.into()),
        sequence: 5,
        ..Default::default()
    }
}

fn ended() -> RunState {
    RunState::Finished(v1::StopReason { criterion: "generations".into(), detail: "3 generations".into() })
}

fn worker(id: u64, settled: u64) -> v1::Worker {
    v1::Worker { id, display_name: format!("node-{id}"), settled_episodes: settled, ..Default::default() }
}

fn seen(seconds: u64, settled: u64, epoch: u64) -> Update {
    Update::Seen(Box::new(Seen {
        at: Duration::from_secs(seconds),
        status: v1::CoordinatorStatus { settled_episodes: settled, epoch, ..Default::default() },
        runs: vec![run("a", ended()), run("b", RunState::RUNNING), run("c", RunState::paused("why"))],
        workers: vec![worker(1, settled), worker(2, 0)],
    }))
}

fn top() -> Top {
    let mut top = Top::new("http://host:1".into(), None);
    top.take(seen(1, 100, 1));
    top
}

fn press(top: &mut Top, code: KeyCode) -> Effect {
    top.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn selected(top: &Top) -> &str {
    top.shown().unwrap().id()
}

#[test]
fn keys_select_within_the_lists() {
    let mut top = top();
    assert_eq!(
        top.runs().iter().map(|run| run.id()).collect::<Vec<_>>(),
        ["c", "b", "a"],
        "what goes on, newest first"
    );
    for (key, expected) in [
        (KeyCode::Down, "b"),
        (KeyCode::Char('j'), "a"),
        (KeyCode::Down, "a"),
        (KeyCode::Up, "b"),
        (KeyCode::Home, "c"),
        (KeyCode::PageDown, "a"),
        (KeyCode::PageUp, "c"),
        (KeyCode::End, "a"),
    ] {
        assert_eq!(press(&mut top, key), Effect::Nothing);
        assert_eq!(selected(&top), expected, "{key:?}");
    }
    // It stays with its run when the list changes.
    top.seen.as_mut().unwrap().runs.insert(0, run("new", RunState::RUNNING));
    assert_eq!(selected(&top), "a");
    assert_eq!(top.selected_worker(), Some(0));
    press(&mut top, KeyCode::Tab);
    press(&mut top, KeyCode::Down);
    assert_eq!((top.selected_worker(), selected(&top)), (Some(1), "a"));
    // Without anything there is nothing to select.
    let mut empty = Top::new(String::new(), None);
    for key in [KeyCode::Down, KeyCode::Tab, KeyCode::Up, KeyCode::Char('p'), KeyCode::Char('d')] {
        assert_eq!(press(&mut empty, key), Effect::Nothing);
    }
    assert_eq!((empty.selected_run(), empty.selected_worker(), empty.wanted()), (None, None, None));
    // Whoever named a run begins there.
    let mut named = Top::new(String::new(), Some("runs/a".into()));
    named.take(seen(1, 0, 1));
    assert_eq!(selected(&named), "a");
}

#[test]
fn keys_act_on_what_is_selected_and_ask_before_what_cannot_be_undone() {
    let mut top = top();
    let send = Effect::Send;
    assert_eq!(press(&mut top, KeyCode::Char('r')), send(Request::Resume("runs/c".into())));
    assert_eq!(press(&mut top, KeyCode::Char('p')), Effect::Nothing, "it is paused");
    assert_eq!(top.said, Some(Err("the run is paused already".into())));
    press(&mut top, KeyCode::Down);
    assert_eq!(press(&mut top, KeyCode::Char('p')), send(Request::Pause("runs/b".into())));
    for (answer, expected) in [
        (KeyCode::Char('n'), Effect::Nothing),
        (KeyCode::Enter, Effect::Nothing),
        (KeyCode::Char('q'), Effect::Nothing),
        (KeyCode::Char('y'), send(Request::Cancel("runs/b".into()))),
    ] {
        assert_eq!(press(&mut top, KeyCode::Char('c')), Effect::Nothing);
        assert_eq!(top.question.as_ref().unwrap().1, "End run b (spec of b) for ever?");
        assert_eq!(press(&mut top, answer), expected, "{answer:?}");
        assert_eq!(top.question, None);
    }
    press(&mut top, KeyCode::Down);
    for letter in ['p', 'r', 'c'] {
        assert_eq!(press(&mut top, KeyCode::Char(letter)), Effect::Nothing);
        assert_eq!((&top.said, &top.question), (&Some(Err("the run has ended".into())), &None));
    }
    assert_eq!(press(&mut top, KeyCode::Char('d')), Effect::Nothing);
    assert_eq!(top.question, None, "the keys are among the runs");
    press(&mut top, KeyCode::Tab);
    press(&mut top, KeyCode::Down);
    press(&mut top, KeyCode::Char('d'));
    assert_eq!(top.question.as_ref().unwrap().1, "Let worker 2 (node-2) leave for good?");
    assert_eq!(press(&mut top, KeyCode::Char('Y')), send(Request::Drain(2)));
}

#[test]
fn help_opens_and_closes_and_the_view_ends() {
    let mut top = top();
    press(&mut top, KeyCode::Char('?'));
    assert!(top.help);
    assert_eq!(press(&mut top, KeyCode::Char('q')), Effect::Nothing, "it closes the help");
    assert!(!top.help);
    assert_eq!(press(&mut top, KeyCode::Char('q')), Effect::Quit);
    assert_eq!(press(&mut top, KeyCode::Esc), Effect::Quit);
    // Whatever is asked.
    press(&mut top, KeyCode::Home);
    press(&mut top, KeyCode::Char('c'));
    assert_eq!(top.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Effect::Quit);
    let released = KeyEvent::new_with_kind(KeyCode::Char('q'), KeyModifiers::NONE, KeyEventKind::Release);
    assert_eq!(top.key(released), Effect::Nothing);
}

#[test]
fn rates_are_those_since_the_answer_before() {
    let mut top = top();
    assert_eq!((top.rate, top.rates.len()), (None, 0));
    top.take(seen(3, 500, 1));
    assert_eq!((top.rate, top.rates[&1], top.rates[&2]), (Some(200.0), 200.0, 0.0));
    top.take(Update::Lost("connection refused".into()));
    assert!(top.lost.is_some());
    top.take(seen(4, 7, 2));
    assert_eq!((top.rate, &top.lost), (None, &None), "another coordinator counts anew");
}

#[test]
fn the_selected_run_is_followed_from_where_it_was_left() {
    let mut top = top();
    let follow = |run: &str, after| Some(Request::Follow { run: run.into(), after });
    assert_eq!(top.wanted(), follow("runs/c", 0));
    assert_eq!(top.wanted(), None, "once is enough");
    let event = |sequence, generation| {
        let summary = v1::GenerationSummary { generation, median_fitness: Some(0.5), ..Default::default() };
        let event = Some(v1::RunEvent::of(Kind::Generation(summary)));
        Update::Event(Box::new(v1::WatchRunResponse { sequence, event }), "runs/c".into())
    };
    top.take(event(2, 0));
    top.take(event(3, 1));
    top.take(event(3, 1));
    assert_eq!(top.history("runs/c").unwrap().points().len(), 2, "what comes twice counts once");
    press(&mut top, KeyCode::Down);
    assert_eq!(top.wanted(), follow("runs/b", 0));
    press(&mut top, KeyCode::Up);
    assert_eq!(top.wanted(), follow("runs/c", 3));
    // One that ends at once is not asked for again and again.
    top.take(Update::Unfollowed("runs/c".into()));
    assert_eq!(top.wanted(), None);
    top.take(seen(5, 100, 1));
    assert_eq!(top.wanted(), follow("runs/c", 3));
    top.take(event(5, 2));
    top.take(Update::Unfollowed("runs/c".into()));
    top.take(seen(6, 100, 1));
    assert_eq!(top.wanted(), None, "all is known");
}
