//! What fuzzers have found, and some inputs of every run's own.

use bennu_fuzz::{Mutator, TARGETS, corpus};

#[test]
fn every_corpus_is_replayed() {
    for target in TARGETS {
        let corpus = corpus(target.name);
        assert!(!corpus.is_empty(), "{} has a corpus", target.name);
        for input in corpus {
            (target.run)(&input);
        }
    }
}

#[test]
fn some_thousand_inputs_for_each_target_are_survived() {
    for target in TARGETS {
        let mut mutator = Mutator::new(corpus(target.name), 1);
        // Three nodes take a hundred times as long as a decoder.
        let inputs = if target.name == "replicas" {
            500
        } else {
            5_000
        };
        for _ in 0..inputs {
            (target.run)(&mutator.input());
        }
    }
}
