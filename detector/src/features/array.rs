//! Arrays longer than serde's own limit, written as lists; a list of another length is refused.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize as _, Deserializer, Serialize, Serializer};

pub(super) fn serialize<T: Serialize, const N: usize, S: Serializer>(
    array: &[T; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(array)
}

pub(super) fn deserialize<'de, T, const N: usize, D>(deserializer: D) -> Result<[T; N], D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    let list = Vec::<T>::deserialize(deserializer)?;
    let length = list.len();
    list.try_into().map_err(|_| D::Error::custom(format!("{length} values instead of {N}")))
}

/// The same on the heap.
pub(super) mod boxed {
    use super::{DeserializeOwned, Deserializer, Serialize, Serializer};

    pub(in super::super) fn serialize<T: Serialize, const N: usize, S: Serializer>(
        array: &[T; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        super::serialize(array, serializer)
    }

    pub(in super::super) fn deserialize<'de, T, const N: usize, D>(
        deserializer: D,
    ) -> Result<Box<[T; N]>, D::Error>
    where
        T: DeserializeOwned,
        D: Deserializer<'de>,
    {
        super::deserialize(deserializer).map(Box::new)
    }
}
