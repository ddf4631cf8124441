//! What a field can be compared with, and how.

use std::fmt;

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The same.
    Equal,
    /// Set, and not the same.
    NotEqual,
    /// A smaller number.
    Less,
    /// A smaller number or the same.
    AtMost,
    /// A greater number.
    Greater,
    /// A greater number or the same.
    AtLeast,
    /// One of a list; of a field that is a list: all of it.
    In,
    /// One of a list; of a field that is a list: any of it.
    Intersects,
    /// A path, or one below it.
    Pmatch,
    /// A pattern with `*`, `?` and `[…]`.
    Glob,
    /// The same, with ASCII letters of either case.
    Iglob,
    /// Has this in it.
    Contains,
    /// The same, with ASCII letters of either case.
    Icontains,
    /// Has these bytes in it, in hexadecimal.
    Bcontains,
    /// Begins so.
    Startswith,
    /// Begins with these bytes, in hexadecimal.
    Bstartswith,
    /// Ends so.
    Endswith,
    /// Is as a whole what a regular expression says.
    Regex,
    /// Is set.
    Exists,
}

/// What stands behind an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Nothing,
    One,
    List,
}

impl Operator {
    /// Every operator; where one begins like another, the longer first.
    pub const ALL: [Operator; 19] = [
        Operator::Equal,
        Operator::NotEqual,
        Operator::AtMost,
        Operator::Less,
        Operator::AtLeast,
        Operator::Greater,
        Operator::In,
        Operator::Intersects,
        Operator::Pmatch,
        Operator::Glob,
        Operator::Iglob,
        Operator::Contains,
        Operator::Icontains,
        Operator::Bcontains,
        Operator::Startswith,
        Operator::Bstartswith,
        Operator::Endswith,
        Operator::Regex,
        Operator::Exists,
    ];

    /// As it is written; `==` is another form of `=`.
    pub fn name(self) -> &'static str {
        match self {
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::AtMost => "<=",
            Operator::Greater => ">",
            Operator::AtLeast => ">=",
            Operator::In => "in",
            Operator::Intersects => "intersects",
            Operator::Pmatch => "pmatch",
            Operator::Glob => "glob",
            Operator::Iglob => "iglob",
            Operator::Contains => "contains",
            Operator::Icontains => "icontains",
            Operator::Bcontains => "bcontains",
            Operator::Startswith => "startswith",
            Operator::Bstartswith => "bstartswith",
            Operator::Endswith => "endswith",
            Operator::Regex => "regex",
            Operator::Exists => "exists",
        }
    }

    /// The operator that is written so.
    pub fn from_name(name: &str) -> Option<Operator> {
        let name = if name == "==" { "=" } else { name };
        Operator::ALL.into_iter().find(|operator| operator.name() == name)
    }

    pub(crate) fn operand(self) -> Operand {
        match self {
            Operator::Exists => Operand::Nothing,
            Operator::In | Operator::Intersects | Operator::Pmatch => Operand::List,
            _ => Operand::One,
        }
    }

    /// Whether what stands behind it is a pattern, in which a backslash has a meaning of its own.
    pub(crate) fn takes_pattern(self) -> bool {
        matches!(self, Operator::Regex | Operator::Glob | Operator::Iglob | Operator::Pmatch)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
