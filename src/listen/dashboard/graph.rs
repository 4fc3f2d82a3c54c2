//! Where the jobs of a run stand when they are drawn: each in the column behind the last job that it needs.

use std::collections::HashMap;

use super::view::JobView;

const WIDTH: usize = 168;
const HEIGHT: usize = 34;
const GAP_X: usize = 44;
const GAP_Y: usize = 12;

/// The longest name that fits, in characters.
const NAME: usize = 20;

/// A drawing of jobs.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) nodes: Vec<Node>,
    /// Paths of SVG.
    pub(super) edges: Vec<String>,
}

/// A job that is drawn.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) name: String,
    pub(super) shown: String,
    pub(super) status: &'static str,
    pub(super) position: usize,
}

impl Graph {
    /// Draws them. Jobs stand behind those they need in a plan, so one look at each is enough.
    pub(super) fn of(jobs: &[JobView]) -> Self {
        let mut columns: HashMap<&str, usize> = HashMap::new();
        let mut rows: Vec<usize> = Vec::new();
        let mut places: HashMap<&str, (usize, usize)> = HashMap::new();
        let mut graph = Self::default();
        for job in jobs {
            let column =
                job.needs.iter().filter_map(|need| columns.get(need.as_str())).max().map_or(0, |last| last + 1);
            columns.insert(&job.name, column);
            if rows.len() <= column {
                rows.resize(column + 1, 0);
            }
            let (x, y) = (column * (WIDTH + GAP_X), rows[column] * (HEIGHT + GAP_Y));
            rows[column] += 1;
            places.insert(&job.name, (x, y));
            for (from_x, from_y) in job.needs.iter().filter_map(|need| places.get(need.as_str())) {
                let (begin, end) = ((from_x + WIDTH, from_y + HEIGHT / 2), (x, y + HEIGHT / 2));
                let bend = begin.0.midpoint(end.0);
                graph
                    .edges
                    .push(format!("M{} {} C{bend} {} {bend} {} {} {}", begin.0, begin.1, begin.1, end.1, end.0, end.1));
            }
            let shown = if job.name.chars().count() > NAME {
                job.name.chars().take(NAME - 1).chain(['…']).collect()
            } else {
                job.name.clone()
            };
            let (name, status, position) = (job.name.clone(), job.status, job.position);
            graph.nodes.push(Node { x, y, name, shown, status, position });
        }
        graph.width = rows.len() * (WIDTH + GAP_X) - if rows.is_empty() { 0 } else { GAP_X };
        graph.height = rows.iter().max().map_or(0, |most| most * (HEIGHT + GAP_Y) - GAP_Y);
        graph
    }
}
