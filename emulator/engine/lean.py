"""A short pipeline for numba: what native functions need, and no more.

Native functions (`native`) are loops and arithmetic over 64-bit integers: nothing in them to rewrite,
to inline or to annotate. Leaving out numba's passes for all
that makes the first start on a host shorter.
"""

from __future__ import annotations

from typing import Any

from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import PassManager
from numba.core.typed_passes import (
    AnnotateTypes, IRLegalization, NativeLowering, NoPythonBackend, NopythonTypeInference, PreLowerStripPhis,
)
from numba.core.untyped_passes import FixupArgs, IRProcessing, ReconstructSSA, TranslateByteCode


class LeanCompiler(CompilerBase):  # type: ignore[misc]
    """From bytecode to LLVM in ten passes."""

    def define_pipelines(self) -> list[Any]:
        """The one pipeline that there is."""
        manager = PassManager("native functions")
        if self.state.func_ir is None:
            manager.add_pass(TranslateByteCode, "analyzing bytecode")
            manager.add_pass(FixupArgs, "fix up args")
        manager.add_pass(IRProcessing, "processing IR")
        manager.add_pass(ReconstructSSA, "ssa")
        manager.add_pass(NopythonTypeInference, "nopython frontend")
        manager.add_pass(PreLowerStripPhis, "remove phis nodes")
        manager.add_pass(IRLegalization, "ensure IR is legal prior to lowering")
        manager.add_pass(AnnotateTypes, "annotate types")
        manager.add_pass(NativeLowering, "native lowering")
        manager.add_pass(NoPythonBackend, "nopython mode backend")
        manager.finalize()
        return [manager]
