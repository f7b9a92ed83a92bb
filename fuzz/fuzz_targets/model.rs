//! Arbitrary bytes as a model file, under a checksum that is right: everything in it was written so, by a
//! faulty program or by somebody. What is read scores between its means, and is written and read back
//! the same.
#![no_main]

use detector::model::Model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    assert!(Model::from_bytes(data).is_err() || is_sealed(data));
    let mut sealed = data.to_vec();
    sealed.extend(crc32fast::hash(data).to_le_bytes());
    let Ok(model) = Model::from_bytes(&sealed) else { return };
    scores(&model);
    let bytes = model.to_bytes().expect("what was read can be written");
    let again = Model::from_bytes(&bytes).expect("what was written can be read");
    assert_eq!(again.to_bytes().expect("and written again"), bytes);
    assert_eq!(again.hash().ok(), model.hash().ok());
});

fn is_sealed(data: &[u8]) -> bool {
    data.split_last_chunk::<4>()
        .is_some_and(|(body, sum)| crc32fast::hash(body).to_le_bytes() == *sum)
}

fn scores(model: &Model) {
    let means: Vec<f64> = model.forest.trees().flatten().map(|node| node.mean).collect();
    let least = means.iter().copied().fold(f64::INFINITY, f64::min);
    let most = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let columns = model.forest.columns();
    for value in [0.0, 0.5, -1e30, f32::MAX] {
        let row = vec![value; columns];
        let score = model.forest.score(&row);
        let slack = 1e-9 * (1.0 + least.abs().max(most.abs()));
        assert!(score >= least - slack && score <= most + slack, "{score}: {least} to {most}");
        let mut batch = [0.0; 3];
        model.forest.score_batch(&row.repeat(3), &mut batch);
        assert_eq!(batch.map(f64::to_bits), [score.to_bits(); 3]);
        assert!(model.probability(score).is_finite());
        let mut parts = vec![0.0; columns];
        assert!(model.forest.contributions(&row, &mut parts).is_finite());
    }
}
