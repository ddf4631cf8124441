//! The tables in `data/`.

/// The rows below the one of titles. No cell of ours but the last holds a comma, so that a line is cut at commas.
pub(crate) fn rows<const N: usize>(table: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    let lines = table.lines().filter(|line| !line.starts_with('#')).skip(1);
    lines.map(|line| {
        let cells: Vec<&str> = line.splitn(N, ',').collect();
        cells.try_into().expect("as many cells as titles")
    })
}
