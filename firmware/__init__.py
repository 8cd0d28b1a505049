"""Hartwell SBI, the M-mode firmware: RISC-V source and the ELF built from it. A data package, no Python logic."""
