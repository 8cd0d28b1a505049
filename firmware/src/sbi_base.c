/* SPDX-License-Identifier: MIT */
/* Base extension (chapter 4): who are you, and what can you do. None of its functions can fail. */
#include "csr.h"
#include "sbi.h"

enum { GET_SPEC_VERSION, GET_IMPL_ID, GET_IMPL_VERSION, PROBE_EXTENSION, GET_MVENDORID, GET_MARCHID, GET_MIMPID };

struct sbiret sbi_base(unsigned long fid, const uint64_t args[6])
{
    switch (fid) {
    case GET_SPEC_VERSION:
        return sbi_value(SBI_VERSION_MAJOR << 24 | SBI_VERSION_MINOR);
    case GET_IMPL_ID:
        return sbi_value(SBI_IMPL_ID);
    case GET_IMPL_VERSION:
        return sbi_value(SBI_IMPL_VERSION);
    case PROBE_EXTENSION:
        return sbi_value(sbi_extension_present(args[0]));
    case GET_MVENDORID:
        return sbi_value(csr_read(mvendorid));
    case GET_MARCHID:
        return sbi_value(csr_read(marchid));
    case GET_MIMPID:
        return sbi_value(csr_read(mimpid));
    default:
        return sbi_error(SBI_ERR_NOT_SUPPORTED);
    }
}
