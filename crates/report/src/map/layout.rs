//! Where everything of a drawing goes: boxes in columns from left to right, so that lines lead to the right where they
//! can, and each label has a place of its own that nothing else crosses.
//!
//! The method is that of Sugiyama, Tagawa and Toda (1981): turn lines around until there is no circle, put each box into a
//! column right of all that lead to it, give each line a place in every column that it passes, order the places so that
//! few lines cross, and move them up and down until lines are straight. A label is a place like any other, in a column
//! between those of the boxes. Nothing is random: the same input gives the same drawing.

/// A box to be placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Box {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A line from one box to another: never to itself.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Where it leaves and enters, below the upper edges of the boxes.
    pub(super) from_y: f64,
    pub(super) to_y: f64,
    /// The room for its label.
    pub(super) label: Box,
}

/// Where a line goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    /// Level pieces from left to right, as (left, right, height): between them it bends. The first begins and the last
    /// ends at a box.
    pub(super) pieces: Vec<(f64, f64, f64)>,
    /// It leads to the left: its last piece is where it begins.
    pub(super) turned: bool,
    /// Where the label stands: the middle of its lower edge, on the line.
    pub(super) label: (f64, f64),
}

/// Where everything is.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// The upper left corners of the boxes.
    pub(super) boxes: Vec<(f64, f64)>,
    pub(super) routes: Vec<Route>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Room between boxes above one another.
const BOX_GAP: f64 = 18.0;
/// Room between a line and whatever is above it.
const LINE_GAP: f64 = 7.0;
/// Room beside a column, in which lines bend: the least, the most, and how much of how far one of them goes up or down.
const BEND: f64 = 34.0;
const WIDEST_BEND: f64 = 110.0;
const STEEPNESS: f64 = 0.16;
/// Room that a line takes in a column of boxes.
const LINE_HEIGHT: f64 = 6.0;
/// How often places are put in order, and how often moved.
const ORDERINGS: usize = 12;
const MOVES: usize = 16;

/// Something that has a place in a column.
struct Place {
    /// Of the column; boxes are in even ones, labels in odd ones.
    column: usize,
    kind: Kind,
    width: f64,
    height: f64,
    /// Places in the column before and after it that lines lead to, each with where they leave it and arrive there, below
    /// the upper edges.
    before: Vec<(usize, f64, f64)>,
    after: Vec<(usize, f64, f64)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Box,
    Label,
    Line,
}

impl Place {
    /// Where a line that only passes crosses it, below its upper edge.
    fn line_y(&self) -> f64 {
        match self.kind {
            Kind::Label => self.height,
            Kind::Box | Kind::Line => self.height / 2.0,
        }
    }
}

pub(super) fn layout(boxes: &[Box], lines: &[Line]) -> Layout {
    if boxes.is_empty() {
        return Layout::default();
    }
    let turned = turned(boxes.len(), lines);
    let ends: Vec<(usize, usize)> = lines
        .iter()
        .zip(&turned)
        .map(|(line, &turn)| if turn { (line.to, line.from) } else { (line.from, line.to) })
        .collect();
    let columns = columns(boxes.len(), &ends);

    let mut places: Vec<Place> = boxes
        .iter()
        .zip(&columns)
        .map(|(one, &column)| Place {
            column: 2 * column,
            kind: Kind::Box,
            width: one.width,
            height: one.height,
            before: Vec::new(),
            after: Vec::new(),
        })
        .collect();
    // The places of each line, from left to right, its boxes among them.
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for ((line, &(left, right)), &turn) in lines.iter().zip(&ends).zip(&turned) {
        let (first, last) = (2 * columns[left], 2 * columns[right]);
        let label_column = first + 1 + ((last - first - 1) / 2) / 2 * 2;
        let (mut at, mut at_y) = (left, if turn { line.to_y } else { line.from_y });
        let mut chain = vec![left];
        for column in first + 1..last {
            let is_label = column == label_column;
            let place = Place {
                column,
                kind: if is_label { Kind::Label } else { Kind::Line },
                width: if is_label { line.label.width } else { 0.0 },
                height: if is_label { line.label.height } else { LINE_HEIGHT },
                before: Vec::new(),
                after: Vec::new(),
            };
            let y = place.line_y();
            places.push(place);
            let next = places.len() - 1;
            connect(&mut places, at, at_y, next, y);
            (at, at_y) = (next, y);
            chain.push(next);
        }
        connect(&mut places, at, at_y, right, if turn { line.from_y } else { line.to_y });
        chain.push(right);
        chains.push(chain);
    }

    let column_count = places.iter().map(|place| place.column + 1).max().unwrap_or(0);
    let mut order: Vec<Vec<usize>> = vec![Vec::new(); column_count];
    for (at, place) in places.iter().enumerate() {
        order[place.column].push(at);
    }
    put_in_order(&places, &mut order);
    let tops = tops(&places, &order);

    let mut lefts: Vec<f64> = Vec::new();
    let mut widths: Vec<f64> = Vec::new();
    let mut x = 0.0;
    for members in &order {
        let width = members.iter().map(|&at| places[at].width).fold(0.0, f64::max);
        lefts.push(x);
        widths.push(width);
        x += width;
        let after = members.iter().flat_map(|&at| places[at].after.iter().map(move |line| (at, line)));
        let steps = after.map(|(at, &(next, from, to))| (tops[at] + from - tops[next] - to).abs());
        let furthest = steps.fold(0.0, f64::max);
        x += (BEND + furthest * STEEPNESS).min(WIDEST_BEND).round();
    }
    let width = lefts.last().zip(widths.last()).map_or(0.0, |(left, width)| left + width);
    let routes = chains
        .iter()
        .zip(&turned)
        .map(|(chain, &turned)| {
            let mut route = Route { turned, ..Route::default() };
            let (first, last) = (chain[0], chain[chain.len() - 1]);
            let leaves = places[first].after.iter().find(|(next, ..)| *next == chain[1]).map_or(0.0, |&(_, y, _)| y);
            let from = centred(&places[first], &lefts, &widths) + places[first].width;
            let edge = lefts[places[first].column] + widths[places[first].column];
            route.pieces.push((from, edge, tops[first] + leaves));
            for &at in &chain[1..chain.len() - 1] {
                let place = &places[at];
                let (left, y) = (lefts[place.column], tops[at] + place.line_y());
                route.pieces.push((left, left + widths[place.column], y));
                if place.kind == Kind::Label {
                    route.label = (left + widths[place.column] / 2.0, y);
                }
            }
            let before = chain[chain.len() - 2];
            let enters = places[last].before.iter().find(|(one, ..)| *one == before).map_or(0.0, |&(_, y, _)| y);
            let left = lefts[places[last].column];
            route.pieces.push((left, centred(&places[last], &lefts, &widths), tops[last] + enters));
            route
        })
        .collect();
    let height = places.iter().zip(&tops).map(|(place, top)| top + place.height).fold(0.0, f64::max);
    Layout {
        boxes: (0..boxes.len()).map(|at| (centred(&places[at], &lefts, &widths), tops[at])).collect(),
        routes,
        width,
        height,
    }
}

/// A box stands in the middle of its column.
fn centred(place: &Place, lefts: &[f64], widths: &[f64]) -> f64 {
    lefts[place.column] + (widths[place.column] - place.width) / 2.0
}

fn connect(places: &mut [Place], left: usize, left_y: f64, right: usize, right_y: f64) {
    places[left].after.push((right, left_y, right_y));
    places[right].before.push((left, right_y, left_y));
}

/// Which lines must be turned so that there is no circle: by the heuristic of Eades, Lin and Smyth (1993), which turns few.
fn turned(boxes: usize, lines: &[Line]) -> Vec<bool> {
    let mut left: Vec<bool> = vec![true; boxes];
    let (mut front, mut back): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut out = vec![0usize; boxes];
    let mut into = vec![0usize; boxes];
    for line in lines {
        out[line.from] += 1;
        into[line.to] += 1;
    }
    for _ in 0..boxes {
        let candidates = || (0..boxes).filter(|&at| left[at]);
        let sink = candidates().find(|&at| out[at] == 0);
        let source = || candidates().find(|&at| into[at] == 0);
        let most = || candidates().max_by_key(|&at| (out[at] as isize - into[at] as isize, std::cmp::Reverse(at)));
        let Some(at) = sink.or_else(source).or_else(most) else { break };
        if sink == Some(at) {
            back.push(at)
        } else {
            front.push(at)
        }
        left[at] = false;
        for line in lines {
            if line.from == at {
                into[line.to] -= 1;
            }
            if line.to == at {
                out[line.from] -= 1;
            }
        }
    }
    let mut rank = vec![0; boxes];
    for (position, &at) in front.iter().chain(back.iter().rev()).enumerate() {
        rank[at] = position;
    }
    lines.iter().map(|line| rank[line.from] > rank[line.to]).collect()
}

/// The column of each box: right of all that lead to it, and as near to them and to its followers as can be.
fn columns(boxes: usize, ends: &[(usize, usize)]) -> Vec<usize> {
    let mut columns = vec![0usize; boxes];
    // There is no circle, so it is settled after as many rounds as there are boxes.
    for _ in 0..boxes {
        let mut moved = false;
        for &(left, right) in ends {
            if columns[right] <= columns[left] {
                columns[right] = columns[left] + 1;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    // Whoever has more lines to the right goes there, as far as those lines allow.
    for _ in 0..4 {
        for at in (0..boxes).rev() {
            let followers = ends.iter().filter(|(left, _)| *left == at);
            let leaders = ends.iter().filter(|(_, right)| *right == at).count();
            let count = followers.clone().count();
            if let Some(nearest) = followers.map(|&(_, right)| columns[right]).min()
                && count > leaders
            {
                columns[at] = columns[at].max(nearest - 1);
            }
        }
    }
    columns
}

/// Orders each column by where the neighbours of its places are, again and again, and keeps the order in which the fewest
/// lines cross.
fn put_in_order(places: &[Place], order: &mut Vec<Vec<usize>>) {
    let mut best = order.clone();
    let mut fewest = crossings(places, order);
    for round in 0..ORDERINGS {
        let to_the_right = round % 2 == 0;
        let columns: Vec<usize> =
            if to_the_right { (1..order.len()).collect() } else { (0..order.len().saturating_sub(1)).rev().collect() };
        for column in columns {
            let beside = if to_the_right { column - 1 } else { column + 1 };
            let mut position = vec![0.0; places.len()];
            for (at, &place) in order[beside].iter().enumerate() {
                position[place] = at as f64;
            }
            let mut members: Vec<(f64, usize)> = order[column]
                .iter()
                .enumerate()
                .map(|(at, &place)| {
                    let neighbours = if to_the_right { &places[place].before } else { &places[place].after };
                    // Lines leave a box from above to below: that is part of their order.
                    let sum: f64 = neighbours
                        .iter()
                        .map(|&(other, _, y)| position[other] + y / (places[other].height + 1.0))
                        .sum();
                    let key = if neighbours.is_empty() {
                        at as f64 * order[beside].len() as f64 / order[column].len() as f64
                    } else {
                        sum / neighbours.len() as f64
                    };
                    (key, place)
                })
                .collect();
            members.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            order[column] = members.into_iter().map(|(_, place)| place).collect();
        }
        let now = crossings(places, order);
        if now < fewest {
            fewest = now;
            best.clone_from(order);
        }
    }
    *order = best;
}

/// How many pairs of lines cross.
fn crossings(places: &[Place], order: &[Vec<usize>]) -> usize {
    let mut total = 0;
    let mut position = vec![0usize; places.len()];
    for members in order {
        for (at, &place) in members.iter().enumerate() {
            position[place] = at;
        }
    }
    for members in order {
        let mut ends: Vec<(usize, usize)> = members
            .iter()
            .flat_map(|&place| places[place].after.iter().map(move |&(next, ..)| (place, next)))
            .map(|(place, next)| (position[place], position[next]))
            .collect();
        ends.sort_unstable();
        for (at, one) in ends.iter().enumerate() {
            total += ends[at + 1..].iter().filter(|other| other.0 > one.0 && other.1 < one.1).count();
        }
    }
    total
}

/// The upper edge of each place: as near to where its lines come from as its column allows.
fn tops(places: &[Place], order: &[Vec<usize>]) -> Vec<f64> {
    let mut tops = vec![0.0; places.len()];
    for members in order {
        let mut y = 0.0;
        for (at, &place) in members.iter().enumerate() {
            if at > 0 {
                y += gap(&places[members[at - 1]], &places[place]);
            }
            tops[place] = y;
            y += places[place].height;
        }
    }
    for round in 0..MOVES {
        let mut columns: Vec<usize> = (0..order.len()).collect();
        if round % 2 == 1 {
            columns.reverse();
        }
        for column in columns {
            settle(places, &order[column], &mut tops);
        }
    }
    let top = tops.iter().copied().fold(f64::INFINITY, f64::min);
    tops.iter().map(|y| (y - top).round()).collect()
}

fn gap(above: &Place, below: &Place) -> f64 {
    if above.kind == Kind::Box || below.kind == Kind::Box { BOX_GAP } else { LINE_GAP }
}

/// Moves the places of one column to where they want to be, without changing their order or letting them overlap: the
/// least squares of the distances (pool adjacent violators).
fn settle(places: &[Place], members: &[usize], tops: &mut [f64]) {
    /// Places that stand as close as they may: the sum of their wishes and weights, and how many they are.
    struct Block {
        wish: f64,
        weight: f64,
        members: usize,
    }
    let mut blocks: Vec<Block> = Vec::new();
    let mut offsets: Vec<f64> = Vec::new();
    let mut offset = 0.0;
    for (at, &place) in members.iter().enumerate() {
        if at > 0 {
            offset += places[members[at - 1]].height + gap(&places[members[at - 1]], &places[place]);
        }
        offsets.push(offset);
        let neighbours = places[place].before.iter().chain(&places[place].after);
        let (mut wish, mut weight) = (0.0, 0.0);
        for &(other, own_y, other_y) in neighbours {
            // A line that passes through both is to be straight.
            let both_pass = places[place].kind != Kind::Box && places[other].kind != Kind::Box;
            let of = if both_pass { 4.0 } else { 1.0 };
            wish += of * (tops[other] + other_y - own_y);
            weight += of;
        }
        if weight == 0.0 {
            (wish, weight) = (tops[place] * 0.1, 0.1);
        }
        blocks.push(Block { wish: wish - weight * offset, weight, members: 1 });
        while let [.., above, below] = blocks.as_slice()
            && above.wish / above.weight > below.wish / below.weight
        {
            let below = Block { ..*below };
            blocks.pop();
            if let Some(above) = blocks.last_mut() {
                above.wish += below.wish;
                above.weight += below.weight;
                above.members += below.members;
            }
        }
    }
    let mut at = 0;
    for block in blocks {
        for _ in 0..block.members {
            tops[members[at]] = block.wish / block.weight + offsets[at];
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Box, Layout, Line, layout};

    fn boxes(number: usize) -> Vec<Box> {
        (0..number).map(|at| Box { width: 100.0 + at as f64, height: 40.0 + 7.0 * (at % 3) as f64 }).collect()
    }

    fn lines(ends: &[(usize, usize)]) -> Vec<Line> {
        let line = |&(from, to): &(usize, usize)| Line {
            from,
            to,
            from_y: 20.0,
            to_y: 20.0,
            label: Box { width: 80.0, height: 24.0 },
        };
        ends.iter().filter(|(from, to)| from != to).map(line).collect()
    }

    /// Upper left and lower right corners of all that must not overlap.
    fn rectangles(boxes: &[Box], lines: &[Line], layout: &Layout) -> Vec<[f64; 4]> {
        let of_boxes = boxes.iter().zip(&layout.boxes).map(|(one, &(x, y))| [x, y, x + one.width, y + one.height]);
        let of_labels = lines.iter().zip(&layout.routes).map(|(line, route)| {
            let (x, y) = route.label;
            [x - line.label.width / 2.0, y - line.label.height, x + line.label.width / 2.0, y]
        });
        of_boxes.chain(of_labels).collect()
    }

    fn overlap(one: &[f64; 4], other: &[f64; 4]) -> bool {
        one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
    }

    #[test]
    fn a_line_leads_to_the_right_unless_there_is_a_circle() {
        let lines = lines(&[(0, 1), (1, 2), (2, 0)]);

        let layout = layout(&boxes(3), &lines);

        assert_eq!(layout.routes.iter().filter(|route| route.turned).count(), 1);
    }

    #[test]
    fn a_line_begins_and_ends_at_its_boxes() {
        let boxes = boxes(3);
        let layout = layout(&boxes, &lines(&[(0, 1), (1, 2), (0, 2)]));

        for (route, (from, to)) in layout.routes.iter().zip([(0usize, 1usize), (1, 2), (0, 2)]) {
            let (first, last) = (route.pieces[0], route.pieces[route.pieces.len() - 1]);
            assert_eq!(first.0, layout.boxes[from].0 + boxes[from].width);
            assert_eq!(last.1, layout.boxes[to].0);
        }
    }

    proptest! {
        #[test]
        fn nothing_overlaps_and_no_line_crosses_a_box_or_a_label(
            number in 1usize..20,
            ends in prop::collection::vec((0usize..20, 0usize..20), 0..40),
        ) {
            let ends: Vec<(usize, usize)> = ends.into_iter().map(|(from, to)| (from % number, to % number)).collect();
            let (boxes, lines) = (boxes(number), lines(&ends));
            let layout = layout(&boxes, &lines);

            let rectangles = rectangles(&boxes, &lines, &layout);
            for (at, one) in rectangles.iter().enumerate() {
                prop_assert!(one[0] >= 0.0 && one[1] >= 0.0 && one[2] <= layout.width && one[3] <= layout.height, "{one:?}");
                for other in &rectangles[at + 1..] {
                    prop_assert!(!overlap(one, other), "{one:?} {other:?}");
                }
                for route in &layout.routes {
                    for &(left, right, y) in &route.pieces {
                        prop_assert!(!overlap(one, &[left, y, right, y]), "{one:?} {left} {right} {y}");
                    }
                }
            }
        }

        #[test]
        fn every_line_goes_on_to_the_right(ends in prop::collection::vec((0usize..9, 0usize..9), 0..30)) {
            let layout = layout(&boxes(9), &lines(&ends));
            for route in &layout.routes {
                for pair in route.pieces.windows(2) {
                    prop_assert!(pair[0].0 <= pair[0].1 && pair[0].1 < pair[1].0, "{route:?}");
                }
            }
        }
    }
}
