//! Where the jobs of a run stand when they are drawn: each in the column behind the last job that it needs.

use std::collections::HashMap;

use super::view::JobView;

const WIDTH: usize = 168;
const HEIGHT: usize = 34;
/// Room for the lines around.
const MARGIN: usize = 2;
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
    /// Draws them.
    pub(super) fn of(jobs: &[JobView]) -> Self {
        let columns = columns(jobs);
        let mut rows = vec![0; columns.values().max().map_or(0, |last| last + 1)];
        let mut places: HashMap<&str, (usize, usize)> = HashMap::new();
        let mut graph = Self::default();
        for job in jobs {
            let column = columns[job.name.as_str()];
            let (x, y) = (MARGIN + column * (WIDTH + GAP_X), MARGIN + rows[column] * (HEIGHT + GAP_Y));
            rows[column] += 1;
            places.insert(&job.name, (x, y));
            let shown = if job.name.chars().count() > NAME {
                job.name.chars().take(NAME - 1).chain(['…']).collect()
            } else {
                job.name.clone()
            };
            let (name, status, position) = (job.name.clone(), job.status, job.position);
            graph.nodes.push(Node { x, y, name, shown, status, position });
        }
        for job in jobs {
            let (x, y) = places[job.name.as_str()];
            for (from_x, from_y) in job.needs.iter().filter_map(|need| places.get(need.as_str())) {
                let (begin, end) = ((from_x + WIDTH, from_y + HEIGHT / 2), (x, y + HEIGHT / 2));
                let bend = begin.0.midpoint(end.0);
                graph
                    .edges
                    .push(format!("M{} {} C{bend} {} {bend} {} {} {}", begin.0, begin.1, begin.1, end.1, end.0, end.1));
            }
        }
        let most = rows.iter().max().copied().unwrap_or(0);
        graph.width = 2 * MARGIN + rows.len() * (WIDTH + GAP_X) - GAP_X.min(rows.len() * GAP_X);
        graph.height = 2 * MARGIN + most * (HEIGHT + GAP_Y) - GAP_Y.min(most * GAP_Y);
        graph
    }
}

/// The column of each job: one behind the last of those that it needs. They stand in any order.
fn columns(jobs: &[JobView]) -> HashMap<&str, usize> {
    let mut columns: HashMap<&str, usize> = jobs.iter().map(|job| (job.name.as_str(), 0)).collect();
    // Each round sets at least one column for good; a plan has no cycles, and a damaged one ends all the same.
    for _ in 0..jobs.len() {
        let mut changed = false;
        for job in jobs {
            let column =
                job.needs.iter().filter_map(|need| columns.get(need.as_str())).max().map_or(0, |last| last + 1);
            changed |= columns.insert(&job.name, column) != Some(column);
        }
        if !changed {
            break;
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, needs: &[&str]) -> JobView {
        JobView {
            position: 0,
            name: name.to_owned(),
            image: String::new(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            status: "success",
            forgiven: false,
            message: None,
            took: String::new(),
            tries: Vec::new(),
            steps: Vec::new(),
        }
    }

    #[test]
    fn a_job_stands_behind_those_that_it_needs_in_whatever_order_they_come() {
        let jobs = [job("ship", &["test", "lint"]), job("lint", &[]), job("test", &["build"]), job("build", &["lint"])];
        let graph = Graph::of(&jobs);
        let column = |name: &str| graph.nodes.iter().find(|node| node.name == name).map(|node| node.x);
        let order = ["lint", "build", "test", "ship"].map(column);
        assert!(order.is_sorted() && order.iter().all(Option::is_some), "{order:?}");
        assert_eq!(graph.edges.len(), 4);
        assert_eq!(Graph::of(&[]).nodes.len(), 0);
        assert_eq!(Graph::of(&[job("a", &["b"]), job("b", &["a"])]).nodes.len(), 2, "a record that was damaged");
    }
}
