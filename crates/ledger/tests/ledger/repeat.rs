//! The repeat rules as a table: what was recorded before, what is asked, what comes of it. One
//! line for each row of CLN's `check_progress`, and our own lines for deleted records and late
//! preimages.

use crate::scene::{NOW_MS, Scene, hash, msat, node, part, preimage};
use sendpay_ledger::{Begun, NewPayment, Payment, Status};

/// Lines of `before | asked | outcome`.
///
/// `before` is a list of records of one hash: letter p (pending), c (complete), f (failed), C
/// (complete, then deleted), F (failed, then deleted), L (failed, then claimed), and
/// `group.part`. All have 1000 msat to node 02, the total of numbered parts is 3000 msat.
/// `asked` is `group.part` (group - is the default) and what differs. H is the hash.
const TABLE: &str = "
                   |  -.0             | new 1
                   |  5.0             | new 5
c1.0               |  1.0             | complete 1.0
c1.0               |  -.0             | complete 1.0
c1.0               |  9.0             | complete 1.0
c1.0               |  -.0 to none     | complete 1.0
c1.0               |  -.0 label       | complete 1.0
c1.0               |  -.0 amount 2000 | Already succeeded with amount 1000msat (not 2000msat)
c1.0               |  -.0 to 04       | Already succeeded to 02
c1.1               |  1.2             | Already succeeded other parts
c1.1               |  -.2             | Already succeeded other parts
c1.1               |  -.0             | Already succeeded other parts
c1.1               |  2.1             | complete 1.1
c1.1 f1.2          |  1.2             | There already is group 1 part 2
c1.1 p1.2          |  1.2             | pending 1.2
c1.1 p1.2          |  2.3             | Payment with groupid=1 still in progress, cannot retry before that completes.
p1.0               |  -.0             | Payment with groupid=1 still in progress, cannot retry before that completes.
p1.0               |  2.0             | Payment with groupid=1 still in progress, cannot retry before that completes.
p7.1               |  -.2             | Payment with groupid=7 still in progress, cannot retry before that completes.
p1.1               |  1.0             | Already have parallel payment in progress
p1.0               |  1.1             | Already have non-parallel payment in progress
p1.0               |  1.0             | pending 1.0
p1.1               |  1.1             | pending 1.1
p1.0               |  1.0 to none     | pending 1.0
p1.0               |  1.0 label       | pending 1.0
p1.0               |  1.0 amount 2000 | Already pending with amount 1000msat (not 2000msat)
p1.0               |  1.0 to 04       | Already pending to 02
p1.1               |  1.2 total 4000  | msatoshi was previously 3000msat, now 4000msat
p1.1               |  1.2 total none  | msatoshi was previously 3000msat, now 1000msat
p1.1               |  1.1 total 4000  | pending 1.1
f1.0               |  1.0             | There already is group 1 part 0
f1.0               |  -.0             | new 2
f1.0               |  2.0             | new 2
f1.1               |  1.2             | new 1
f1.0 f5.0          |  -.0             | new 6
f1.0 c2.0          |  1.0             | There already is group 1 part 0
f1.0 c2.0          |  -.0             | complete 2.0
f1.0 p2.0          |  -.0             | Payment with groupid=2 still in progress, cannot retry before that completes.
p1.1 p1.2          |  1.3             | new 1
p1.1 p1.2          |  1.3 amount 9000 | new 1
p1.1 p1.2 p1.3     |  1.4             | Already have 3000msat of 3000msat payments in progress
p1.1 p1.2 f1.3     |  1.4             | new 1
p1.1 p1.2          |  1.3 cap         | new 1
p1.1 p1.2          |  1.3 cap amount 1001 | Already have 2000msat of 3000msat payments in progress, 1001msat more would exceed it
p1.1 p1.2 p1.3     |  1.4 cap         | Already have 3000msat of 3000msat payments in progress
                   |  -.1 cap amount 3001 | Already have 0msat of 3000msat payments in progress, 3001msat more would exceed it
                   |  -.0 amount 0    | new 1
C1.0               |  -.0             | complete 1.0
C1.0               |  1.0             | complete 1.0
C1.0               |  -.0 amount 2000 | Already succeeded with amount 1000msat (not 2000msat)
C1.0               |  -.0 to 04       | Already succeeded to 02
C1.1               |  1.2             | Already succeeded other parts
C1.1 p1.2          |  1.2             | pending 1.2
F1.0               |  1.0             | There already is group 1 part 0
F1.0               |  -.0             | new 2
F7.0               |  -.0             | new 8
f1.0 F7.0          |  -.0             | new 8
F1.0               |  2.0             | new 2
L1.0               |  -.0             | late
L1.0               |  2.0             | late
L1.0               |  1.0             | There already is group 1 part 0
                   |  9223372036854775807.0 | new 9223372036854775807
                   |  9223372036854775808.0 | groupid 9223372036854775808 is too large: at most 9223372036854775807
f9223372036854775807.0 |  -.0         | groupid 9223372036854775808 is too large: at most 9223372036854775807
                   |  1.9223372036854775807 | new 1
                   |  1.9223372036854775808 | partid 9223372036854775808 is too large: at most 9223372036854775807
";

const NUMBER: u8 = 1;

fn two_numbers(text: &str) -> (Option<u64>, u64) {
    let (group, part) = text.split_once('.').unwrap();
    (group.parse().ok(), part.parse().unwrap())
}

/// Records all as pending first, so that the rules let them in, then settles each.
fn record(scene: &Scene, before: &str) {
    let mut groups: Vec<Vec<&str>> = Vec::new();
    for word in before.split_whitespace() {
        let group = word[1..].split_once('.').unwrap().0;
        match groups.last_mut() {
            Some(last) if last[0][1..].split_once('.').unwrap().0 == group => last.push(word),
            _ => groups.push(vec![word]),
        }
    }
    for group in groups {
        let begun: Vec<(&str, Payment)> = group
            .into_iter()
            .map(|word| {
                let (groupid, partid) = two_numbers(&word[1..]);
                (word, scene.begin(part(NUMBER, groupid.unwrap(), partid)))
            })
            .collect();
        for (word, payment) in begun {
            settle(scene, &word[..1], &payment);
        }
    }
}

fn settle(scene: &Scene, letter: &str, payment: &Payment) {
    let delete = |status| {
        let which = Some((payment.groupid, payment.partid));
        let deleted = scene.ledger.delete(hash(NUMBER), status, which, NOW_MS);
        assert_eq!(deleted.wait().unwrap().unwrap().len(), 1);
    };
    match letter {
        "p" => {}
        "c" => drop(scene.complete(payment, NUMBER)),
        "f" => drop(scene.fail(payment)),
        "C" => {
            scene.complete(payment, NUMBER);
            delete(Status::Complete);
        }
        "F" => {
            scene.fail(payment);
            delete(Status::Failed);
        }
        "L" => {
            scene.fail(payment);
            let id = payment.payment_id();
            let late = scene
                .ledger
                .complete(id, hash(NUMBER), preimage(NUMBER), NOW_MS);
            late.wait().unwrap().unwrap();
        }
        _ => panic!("no such letter"),
    }
}

fn asked(words: &str) -> NewPayment {
    let mut words = words.split_whitespace();
    let (groupid, partid) = two_numbers(words.next().unwrap());
    let mut new = NewPayment {
        groupid,
        ..part(NUMBER, 0, partid)
    };
    while let Some(word) = words.next() {
        match word {
            "label" => new.label = Some("another".to_owned()),
            "cap" => new.cap_msat = Some(new.effective_total_msat()),
            "amount" => new.amount_msat = msat(words.next().unwrap().parse().unwrap()),
            "to" => new.destination = words.next().unwrap().parse().ok().map(node),
            "total" => new.total_msat = words.next().unwrap().parse().ok().map(msat),
            _ => panic!("no such word"),
        }
    }
    new
}

/// The outcome of a line as the table writes it.
fn expected(outcome: &str) -> String {
    if let Some(rest) = outcome.strip_prefix("There already is group ") {
        let (groupid, partid) = rest.split_once(" part ").unwrap();
        return format!(
            "There already is a payment with payment_hash={}, groupid={groupid}, partid={partid}. \
             Either change the partid, or wait for the payment to complete and start a new group.",
            hash(NUMBER)
        );
    }
    if outcome == "late" {
        return format!(
            "Already succeeded: payment_hash={} was claimed after its record had failed",
            hash(NUMBER)
        );
    }
    outcome.replace("to 02", &format!("to {}", node(2)))
}

#[test]
fn every_line_of_the_repeat_table_holds() {
    let lines = TABLE.lines().filter(|line| line.contains('|'));
    for line in lines {
        let [before, words, outcome] = line
            .split('|')
            .map(str::trim)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        let scene = Scene::new();
        record(&scene, before);
        let counters = scene.ledger.counters().unwrap();
        let peeked = scene.ledger.peek(&asked(words));
        let begun = scene
            .ledger
            .begin(asked(words), NOW_MS + 5000)
            .wait()
            .unwrap();
        let said = match &begun {
            Ok(Begun::New(payment)) => format!("new {}", payment.groupid),
            Ok(Begun::Pending(payment)) => {
                format!("pending {}.{}", payment.groupid, payment.partid)
            }
            Ok(Begun::Complete(payment)) => {
                assert_eq!(payment.preimage, Some(preimage(NUMBER)), "{line}");
                format!("complete {}.{}", payment.groupid, payment.partid)
            }
            Ok(Begun::Failed(_)) => panic!("only of a request with a key: {line}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expected(outcome), "{line}");
        // What is no new record leaves no trace, and peeking says the same.
        let is_new = matches!(begun, Ok(Begun::New(_)));
        if !is_new {
            assert_eq!(scene.ledger.counters().unwrap(), counters, "{line}");
        }
        match (peeked, begun) {
            (Ok(None), begun) => assert!(matches!(begun, Ok(Begun::New(_))), "{line}"),
            (Ok(Some(peeked)), begun) => assert_eq!(peeked, begun.unwrap(), "{line}"),
            (Err(peeked), begun) => {
                assert_eq!(peeked.to_string(), begun.unwrap_err().to_string(), "{line}");
            }
        }
    }
}

#[test]
fn a_hundred_who_ask_at_once_begin_it_once() {
    let scene = Scene::new();
    let new = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..100)
            .map(|_| scope.spawn(|| scene.ledger.begin(part(NUMBER, 1, 0), NOW_MS).wait()))
            .collect();
        let answers = askers.into_iter().map(|asker| asker.join().unwrap());
        answers
            .filter(|answer| match answer.as_ref().unwrap().as_ref().unwrap() {
                Begun::New(_) => true,
                Begun::Pending(_) => false,
                Begun::Complete(_) | Begun::Failed(_) => panic!("nothing settled it"),
            })
            .count()
    });
    assert_eq!(new, 1);
}
