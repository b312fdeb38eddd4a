// Copyright The slacklogs Authors
// SPDX-License-Identifier: Apache-2.0

import com.teragrep.pth_03.antlr.DPLLexer;
import com.teragrep.pth_03.antlr.DPLParser;
import com.teragrep.pth_03.shaded.org.antlr.v4.runtime.*;
import java.nio.file.*;

/** Parses searches, one a file, by Teragrep's grammar of a language that is modelled on SPL. */
public class Parse {
    static int errors;

    public static void main(String[] files) throws Exception {
        for (String file : files) {
            BaseErrorListener listener = new BaseErrorListener() {
                @Override
                public void syntaxError(Recognizer<?, ?> r, Object symbol, int line, int column, String message, RecognitionException e) {
                    System.out.println(file + ":" + line + ":" + column + ": " + message);
                    errors++;
                }
            };
            DPLLexer lexer = new DPLLexer(CharStreams.fromString(Files.readString(Path.of(file))));
            lexer.removeErrorListeners();
            lexer.addErrorListener(listener);
            DPLParser parser = new DPLParser(new CommonTokenStream(lexer));
            parser.removeErrorListeners();
            parser.addErrorListener(listener);
            parser.root();
        }
        System.out.println(files.length + " searches parsed, " + errors + " errors");
        System.exit(errors > 0 || files.length == 0 ? 1 : 0);
    }
}
