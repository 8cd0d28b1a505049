"""The debugger: sessions and their commands, and below them what is known about programs.

    session = Session(Target(machine), Programs([image]), out=print)
    session.execute("b main")

A session is led by a front end: the prompt and scripts of `hartwell debug`, or a gdb's monitor.

        Session       a target, and all that a user sets up                                     session
        COMMANDS      the commands, a table for each theme                                      command, commands/
        arrived       what is said at a stop; the whole context; the Python side                stopping, context, marks
        next_instruction …  ways that are more than a step                                      walking
        find          places as users type them; what to watch                                  places, watching
        NumberedPoints, Values                                                                  numbered, values
        talk          the prompt, with completion                                               prompt, completion
        run_script    scripts; standard output; Ctrl-C; a guest that waits for input            script, screen, idle
        boot_kernel   Hartwell's own kernel as the program that drives the machine              kernel_program

What is known about programs takes machines and images, and prints nothing:

        Programs      symbols, functions and source lines of all that runs on a machine         programs
        DebugInfo     the DWARF of one image                                                    dwarf, dwarfsections
        LineTable     ... its lines                                                             linetable
        CallFrames    ... and how to find callers                                               callframe
        SourceFiles   where the files are that DWARF names                                      sources
        backtrace     who called whom                                                           backtrace
        analyse       finding callers from the code alone                                       prologue
        disassemble   instructions, where they lead, and whether they would                     disassembly, flow
        examine       memory as gdb's x shows it                                                examine, examineformat
        evaluate      C-like expressions over registers, symbols and memory                     expression
        HartScope     ... as a hart sees them                                                   scope
"""
