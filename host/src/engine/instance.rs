//! One instance of a policy: its store and the function that is asked.

use scopegate_policy::{Caller, packed::RequestRef};
use wasmtime::{
    Engine, Store,
    component::{ComponentExportIndex, InstancePre, TypedFunc},
};

use super::{
    BadPolicy,
    limits::{Limits, Meter, Work, fault_text},
    world::{self, PackedParams, PackedResults, Version, v1_0, v1_1},
};

/// Where a component has its functions. Found once, when it is loaded.
pub(super) struct Exports {
    /// The world that it is of.
    pub(super) version: Version,
    pub(super) describe: ComponentExportIndex,
    pub(super) decide: ComponentExportIndex,
    /// Of the world `engine`.
    pub(super) decide_packed: Option<ComponentExportIndex>,
}

/// An instance that decides.
pub(super) struct Instance {
    store: Store<Meter>,
    decide: Decide,
    calls: u32,
}

enum Decide {
    Packed(TypedFunc<PackedParams<'static>, PackedResults>),
    V1_0(TypedFunc<v1_0::DecideParams<'static>, v1_0::DecideResults>),
    V1_1(TypedFunc<v1_1::DecideParams<'static>, v1_1::DecideResults>),
}

/// What the guest said, in the words of its world.
pub(super) enum Said {
    Bits(u64),
    Decision(scopegate_policy::Decision),
}

impl Instance {
    pub(super) fn new(
        engine: &Engine,
        limits: &Limits,
        component: &InstancePre<Meter>,
        exports: &Exports,
    ) -> wasmtime::Result<Self> {
        let mut store = limits.store(engine, Work::Decide);
        let instance = component.instantiate(&mut store)?;
        let decide = match (&exports.decide_packed, exports.version) {
            (Some(index), _) => Decide::Packed(instance.get_typed_func(&mut store, index)?),
            (None, Version::V1_0) => {
                Decide::V1_0(instance.get_typed_func(&mut store, exports.decide)?)
            }
            (None, Version::V1_1) => {
                Decide::V1_1(instance.get_typed_func(&mut store, exports.decide)?)
            }
        };
        store.data_mut().grew = false;
        Ok(Self {
            store,
            decide,
            calls: 0,
        })
    }

    /// Bytes of its memory.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().memories_bytes
    }

    /// Whether it takes a packed question.
    pub(super) fn is_packed(&self) -> bool {
        matches!(self.decide, Decide::Packed(_))
    }

    /// Asks. After an error the instance must not be asked again: wasmtime refuses to enter it.
    pub(super) fn ask(
        &mut self,
        limits: &Limits,
        caller: &Caller,
        request: &RequestRef<'_>,
        question: &[u8],
    ) -> wasmtime::Result<Said> {
        if self.calls > 0 {
            limits.start_clock(&mut self.store, Work::Decide);
        }
        self.calls += 1;
        match &self.decide {
            Decide::Packed(decide) => decide
                .call(&mut self.store, (question,))
                .map(|(bits,)| Said::Bits(bits)),
            Decide::V1_0(decide) => v1_0::lend(caller, request, |params| {
                let (decision,) = decide.call(&mut self.store, params)?;
                Ok(Said::Decision(v1_0::decision(decision)))
            }),
            Decide::V1_1(decide) => v1_1::lend(caller, request, |params| {
                let (decision,) = decide.call(&mut self.store, params)?;
                Ok(Said::Decision(v1_1::decision(decision)))
            }),
        }
    }

    /// Whether it may be asked again by somebody else: few calls so far, and no memory that grew.
    pub(super) fn is_reusable(&self, calls_max: u32) -> bool {
        self.calls < calls_max && !self.store.data().grew
    }
}

/// What a component says of itself, in an instance of its own; and that its functions have the types of the worlds.
///
/// # Errors
/// That they have not, or that the instance failed.
pub(super) fn describe(
    engine: &Engine,
    limits: &Limits,
    component: &InstancePre<Meter>,
    exports: &Exports,
) -> Result<scopegate_policy::Description, BadPolicy> {
    let wrong = |name: &'static str| {
        move |error: wasmtime::Error| {
            BadPolicy::WrongWorld(format!("`{name}`: {}", fault_text(&error)))
        }
    };
    let fault = |error: wasmtime::Error| BadPolicy::Fault(fault_text(&error));
    let mut store = limits.store(engine, Work::Describe);
    let instance = component.instantiate(&mut store).map_err(fault)?;
    if let Some(decide_packed) = &exports.decide_packed {
        instance
            .get_typed_func::<PackedParams<'_>, PackedResults>(&mut store, decide_packed)
            .map_err(wrong(world::DECIDE_PACKED))?;
    }
    /// Checks both functions of a version and calls the first.
    macro_rules! described {
        ($version:ident) => {{
            let describe = instance
                .get_typed_func::<(), $version::DescribeResults>(&mut store, &exports.describe)
                .map_err(wrong(world::DESCRIBE))?;
            instance
                .get_typed_func::<$version::DecideParams<'_>, $version::DecideResults>(
                    &mut store,
                    &exports.decide,
                )
                .map_err(wrong(world::DECIDE))?;
            let (description,) = describe.call(&mut store, ()).map_err(fault)?;
            $version::description(description)
        }};
    }
    Ok(match exports.version {
        Version::V1_0 => described!(v1_0),
        Version::V1_1 => described!(v1_1),
    })
}
