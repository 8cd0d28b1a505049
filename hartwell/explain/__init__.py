"""The boot explainer: a boot's story, told in a terminal, as one HTML page, and as JSON.

        recorder    runs along with a boot, and cuts it into phases     kernel_memory  who has the frames, per phase
        story       what there is to tell: plain values                 areas          the address space, per phase
        text, page, record: three ways to tell it
"""
