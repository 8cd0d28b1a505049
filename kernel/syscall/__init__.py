"""System calls: Linux's, by RISC-V's numbers (asm-generic/unistd.h)."""
