//! The numbers that an evaluation gives.

use super::EvaluationRequest;

/// The scores of a request's genomes on its tasks at its points of measurement, each from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    tasks: usize,
    points: usize,
    /// `[genome, task, point]`
    values: Vec<f64>,
}

impl Scores {
    /// The scores of a genome on a task, one for each point of measurement.
    ///
    /// # Panics
    /// If there is no such genome or task.
    pub fn of(&self, genome: usize, task: usize) -> &[f64] {
        assert!(task < self.tasks, "a task of another request");
        &self.values[(genome * self.tasks + task) * self.points..][..self.points]
    }
}

/// Scores that arrive one by one.
#[derive(Clone, Debug)]
pub struct Gathering {
    scores: Scores,
    /// `[genome, task]`
    arrived: Vec<bool>,
    missing: usize,
}

impl Gathering {
    /// None of a request's yet.
    pub fn new(request: &EvaluationRequest) -> Self {
        let (tasks, points) = (request.tasks() as usize, request.points.len());
        let missing = request.genomes.len() * tasks;
        let scores = Scores { tasks, points, values: vec![0.0; missing * points] };
        Self { scores, arrived: vec![false; missing], missing }
    }

    /// Takes the scores of a genome on a task; what comes twice counts once. An error says what is wrong with them.
    pub fn add(&mut self, genome: u32, task: u32, scores: &[f64]) -> Result<(), String> {
        let Scores { tasks, points, values } = &mut self.scores;
        let place = (genome as usize).saturating_mul(*tasks).saturating_add(task as usize);
        if task as usize >= *tasks || place >= self.arrived.len() || scores.len() != *points {
            return Err(format!("{} scores of genome {genome} on task {task}", scores.len()));
        }
        if let Some(score) = scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
            return Err(format!("a score of {score}"));
        }
        values[place * *points..][..*points].copy_from_slice(scores);
        self.missing -= usize::from(!self.arrived[place]);
        self.arrived[place] = true;
        Ok(())
    }

    /// Genomes times tasks that have no scores.
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// All scores, if none is missing.
    pub fn finish(self) -> Option<Scores> {
        (self.missing == 0).then_some(self.scores)
    }
}
