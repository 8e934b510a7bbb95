//! What a WIT type looks like, apart from the component that has it.

use wasmtime::component::Type;

/// See [`Budget`].
const OF_FUNCTION: usize = 2_000;
const OF_COMPONENT: usize = 200_000;

/// An integer's width and sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Int {
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
}

impl Int {
    /// The least and the most that it holds.
    pub(crate) const fn bounds(self) -> (i128, i128) {
        match self {
            Self::S8 => (i8::MIN as i128, i8::MAX as i128),
            Self::U8 => (0, u8::MAX as i128),
            Self::S16 => (i16::MIN as i128, i16::MAX as i128),
            Self::U16 => (0, u16::MAX as i128),
            Self::S32 => (i32::MIN as i128, i32::MAX as i128),
            Self::U32 => (0, u32::MAX as i128),
            Self::S64 => (i64::MIN as i128, i64::MAX as i128),
            Self::U64 => (0, u64::MAX as i128),
        }
    }

    /// Whether it holds numbers that programs lose which take every number for a double.
    pub(crate) const fn is_wide(self) -> bool {
        matches!(self, Self::S64 | Self::U64)
    }
}

/// A type whose values can be told in JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Bool,
    Int(Int),
    F32,
    F64,
    Char,
    Text,
    /// `list<u8>`.
    Bytes,
    List(Box<Shape>),
    Tuple(Vec<Shape>),
    Record(Vec<(Box<str>, Shape)>),
    Variant(Vec<(Box<str>, Option<Shape>)>),
    Enum(Vec<Box<str>>),
    Flags(Vec<Box<str>>),
    Option(Box<Shape>),
    Result(Option<Box<Shape>>, Option<Box<Shape>>),
}

impl Shape {
    /// The shape of a component's type.
    ///
    /// # Errors
    /// Why its values cannot be told.
    pub(crate) fn of(ty: &Type, budget: &mut Budget) -> Result<Self, String> {
        budget.shape(ty)
    }

    /// Whether `null` says something already, so that a further "nothing" needs another form.
    pub(crate) fn is_nullable(&self) -> bool {
        matches!(self, Self::Option(_))
    }
}

/// How much is looked at. Types that name others twice, again and again, are small in a file and endless when written out.
pub(crate) struct Budget {
    /// Parts of what one function takes and gives.
    function: usize,
    /// Parts over all functions of a component.
    component: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { function: OF_FUNCTION, component: OF_COMPONENT }
    }
}

impl Budget {
    /// Another function begins.
    pub(crate) fn next(&mut self) {
        self.function = OF_FUNCTION;
    }

    fn take(&mut self, name: &str) -> Result<(), String> {
        // A long name is as much work as many parts.
        let cost = 1 + name.len() / 16;
        let left = |left: usize| left.checked_sub(cost);
        match (left(self.function), left(self.component)) {
            (Some(function), Some(component)) => {
                (self.function, self.component) = (function, component);
                Ok(())
            }
            (None, _) => Err(format!("its types have more than {OF_FUNCTION} parts")),
            (_, None) => Err(format!("the types of all functions have more than {OF_COMPONENT} parts")),
        }
    }

    fn shape(&mut self, ty: &Type) -> Result<Shape, String> {
        self.take("")?;
        Ok(match ty {
            Type::Bool => Shape::Bool,
            Type::S8 => Shape::Int(Int::S8),
            Type::U8 => Shape::Int(Int::U8),
            Type::S16 => Shape::Int(Int::S16),
            Type::U16 => Shape::Int(Int::U16),
            Type::S32 => Shape::Int(Int::S32),
            Type::U32 => Shape::Int(Int::U32),
            Type::S64 => Shape::Int(Int::S64),
            Type::U64 => Shape::Int(Int::U64),
            Type::Float32 => Shape::F32,
            Type::Float64 => Shape::F64,
            Type::Char => Shape::Char,
            Type::String => Shape::Text,
            Type::List(list) => match list.ty() {
                Type::U8 => Shape::Bytes,
                item => Shape::List(Box::new(self.shape(&item)?)),
            },
            Type::Tuple(tuple) => {
                Shape::Tuple(tuple.types().map(|ty| self.shape(&ty)).collect::<Result<_, _>>()?)
            }
            Type::Record(record) => {
                let fields = record.fields().map(|field| {
                    self.take(field.name)?;
                    Ok((field.name.into(), self.shape(&field.ty)?))
                });
                Shape::Record(fields.collect::<Result<_, String>>()?)
            }
            Type::Variant(variant) => {
                let cases = variant.cases().map(|case| {
                    self.take(case.name)?;
                    Ok((case.name.into(), case.ty.as_ref().map(|ty| self.shape(ty)).transpose()?))
                });
                Shape::Variant(cases.collect::<Result<_, String>>()?)
            }
            Type::Enum(names) => Shape::Enum(self.names(names.names())?),
            Type::Flags(names) => Shape::Flags(self.names(names.names())?),
            Type::Option(inner) => Shape::Option(Box::new(self.shape(&inner.ty())?)),
            Type::Result(result) => {
                let mut side = |ty: Option<Type>| ty.map(|ty| self.shape(&ty).map(Box::new)).transpose();
                Shape::Result(side(result.ok())?, side(result.err())?)
            }
            Type::Own(_) | Type::Borrow(_) => {
                return Err("it takes or gives a resource, which lives no longer than a call".into());
            }
            Type::Future(_) | Type::Stream(_) => return Err("it takes or gives a future or a stream".into()),
            Type::ErrorContext => return Err("it takes or gives an error-context".into()),
            Type::Map(_) | Type::FixedLengthList(_) => {
                return Err("it takes or gives a type that this host does not speak".into());
            }
        })
    }

    fn names<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Result<Vec<Box<str>>, String> {
        let taken = names.map(|name| self.take(name).map(|()| name.into()));
        taken.collect()
    }
}
